// Weights of all experts of a layer: as a file keeps them, and packed one by one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "linear/float/float_weights.h"
#include "linear/weights.h"

namespace nanoaccel {

// One of the two linears of every expert, one expert behind the other; each as in LinearSource.
struct ProjectionSource {
  Numbers<uint8_t> codes;         // or the bytes of floats
  Numbers<float> scales;          // or
  Numbers<uint16_t> half_scales;  // the same in f16; or
  Numbers<uint8_t> exponents;     // of MXFP4
  Numbers<float> factors;         // [experts], of their exponents; or none
  Numbers<uint8_t> zeros;         // or none
  Numbers<float> bias;            // or none
};

// The layout of QMoE, or of MoE where floats are stored: rows of gate_up are gate 0, up 0, gate 1,
// up 1, ...; without gates as many as there are inner numbers, as they are.
struct ExpertsSource {
  int64_t experts = 0;
  int64_t hidden = 0;                 // numbers of a token
  int64_t inner = 0;                  // numbers between the two linears
  Stored stored = Stored::kIntegers;  // or floats, which have neither bits nor groups
  int64_t bits = 0;                   // 4 or 8
  bool gated = true;
  int64_t group = 0;  // of both linears: a power of two from 16 to 256 that divides their inputs
  ProjectionSource gate_up;
  ProjectionSource down;
};

// Args: what one linear is packed as, and from.
template <class Packed, class Source>
class ExpertWeightsOf {
 public:
  // Empty when packed, else what is wrong with the source; it is not read out of its bounds.
  std::string pack(const ExpertsSource& source);

  int64_t experts() const { return static_cast<int64_t>(gate_up_.size()); }
  int64_t hidden() const { return gate_up_.front().view().inputs; }
  int64_t inner() const { return down_.front().view().inputs; }
  // Of an expert; rows are all gates, then all up projections, or these alone.
  const std::vector<Packed>& gate_up() const { return gate_up_; }
  const std::vector<Packed>& down() const { return down_; }

 private:
  std::vector<Packed> gate_up_;
  std::vector<Packed> down_;
};

using ExpertWeights = ExpertWeightsOf<PackedWeights, LinearSource>;
using FloatExpertWeights = ExpertWeightsOf<FloatWeights, FloatSource>;

}  // namespace nanoaccel
