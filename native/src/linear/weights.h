// Weights of a quantized linear: as a file keeps them, and packed for the kernels.
#pragma once

#include <cstdint>
#include <string>

#include "linear/kernels.h"
#include "memory/arena.h"

namespace nanoaccel {

// Numbers of a tensor, and how many there are.
template <class T>
struct Numbers {
  const T* data = nullptr;
  int64_t size = 0;
};

// The layout of MatMulNBits, without repetitions: scales, and zero points of 8 bits, may be shared
// by several neighbouring groups.
struct LinearSource {
  int64_t inputs = 0;             // K
  int64_t outputs = 0;            // N
  int64_t bits = 0;               // 4 or 8
  int64_t group = 0;              // a power of two from 16 to 256
  Numbers<uint8_t> codes;         // [N][groups][group * bits / 8]
  Numbers<float> scales;          // [N][some divisor of groups]; or
  Numbers<uint16_t> half_scales;  // the same in f16
  Numbers<uint8_t> zeros;         // 4 bits: [N][(groups + 1) / 2]; 8 bits: as scales; or none
  Numbers<float> bias;            // [N]; or none
  bool gated = false;  // the first half of the rows is the gate, the second the up projection
};

class PackedWeights {
 public:
  // Empty when packed, else what is wrong with the source; it is not read out of its bounds.
  std::string pack(const LinearSource& source);

  const LinearView& view() const { return view_; }
  const float* bias() const { return bias_; }
  bool gated() const { return gated_; }
  int64_t outputs() const { return outputs_; }  // columns of the result

 private:
  void allocate(const LinearSource& source);
  void pack_unit(const LinearSource& source, int64_t unit);
  int64_t row_of(const LinearSource& source, int64_t unit, int64_t lane) const;
  void pack_numbers(const LinearSource& source, int64_t row, int64_t unit, int64_t lane);

  LinearView view_ = {};
  int64_t outputs_ = 0;
  bool gated_ = false;
  ArenaBytes memory_;
  uint8_t* codes_ = nullptr;
  uint8_t* zeros_ = nullptr;
  void* scales_ = nullptr;
  float* bias_ = nullptr;
};

}  // namespace nanoaccel
