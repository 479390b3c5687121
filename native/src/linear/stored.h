// A matrix as a file keeps it: what all kinds of linears have, and what groups of its rows share.
#pragma once

#include <cstdint>
#include <string>

namespace nanoaccel {

constexpr int64_t kMostInputs = int64_t{1} << 24;
constexpr int64_t kMxGroup = 32;  // of OCP's microscaling formats
constexpr int64_t kMostOutputs = int64_t{1} << 28;

// Numbers of a tensor, and how many there are.
template <class T>
struct Numbers {
  const T* data = nullptr;
  int64_t size = 0;
};

// Scales, and zero points of 8 bits, may be shared by several neighbouring groups.
struct StoredMatrix {
  int64_t inputs = 0;             // K
  int64_t outputs = 0;            // N
  int64_t bits = 0;               // of codes
  int64_t group = 0;              // values of k with a scale
  Numbers<float> scales;          // [N][some divisor of groups]; or
  Numbers<uint16_t> half_scales;  // the same in f16; or
  Numbers<uint8_t> exponents;     // E8M0: factor * 2^(n - 127), of MXFP4
  float factor = 1.0F;
  Numbers<uint8_t> zeros;  // 4 bits: [N][(groups + 1) / 2]; 8 bits: as scales; or none
  Numbers<float> bias;     // [N]; or none
  bool gated = false;      // the first half of the rows is the gate, the second the up projection

  int64_t groups() const { return (inputs + group - 1) / group; }
};

// Empty, or what is wrong with the sizes of a matrix and with its bias.
std::string shape_problem(const StoredMatrix& s);

// Empty, or what is wrong with its scales and zero points; its sizes are right.
std::string groups_problem(const StoredMatrix& s);

// Whether f16 holds all scales exactly.
bool all_half(const StoredMatrix& s);

// Where scales and zero points go: [unit][group][lane].
struct GroupPlaces {
  void* scales;
  bool half;       // whether scales are f16
  uint8_t* zeros;  // or nullptr
};

// Scales and zero points of a row into their lane of a unit.
void pack_groups(const StoredMatrix& s, int64_t row, int64_t unit, int64_t lane,
                 const GroupPlaces& to);

}  // namespace nanoaccel
