// Weights of a float linear: as a file keeps them, and packed for the kernels.
#pragma once

#include <cstdint>
#include <string>

#include "linear/float/kernels.h"
#include "linear/stored.h"
#include "memory/arena.h"

namespace nanoaccel {

enum class Stored : int {
  kFloat32,  // floats, [K][N] or [N][K]
  kFloat16,
  kBfloat16,
  kIntegers,  // MatMulNBits' codes
  kNf4,       // MatMulBnb4's codes, whose earlier one is in the upper half of a byte
  kFp4,
};

// Codes have bits, groups, scales and perhaps zero points; floats have none of these.
struct FloatSource : StoredMatrix {
  Stored stored = Stored::kFloat32;
  bool rows = false;  // whether floats are [N][K]
  Numbers<uint8_t> values;
};

class FloatWeights {
 public:
  // Empty when packed, else what is wrong with the source; it is not read out of its bounds.
  //
  // Numbers in f32 that bf16 or f16 hold exactly are packed as these.
  std::string pack(const FloatSource& source);

  const FloatView& view() const { return view_; }
  const float* bias() const { return bias_; }
  bool gated() const { return gated_; }
  int64_t outputs() const { return outputs_; }  // columns of the result

 private:
  struct Place {
    int64_t unit;
    int64_t lane;  // of the unit's 32
  };

  Place place_of(int64_t row) const;
  void allocate(const FloatSource& source);
  void pack_floats(const FloatSource& source);
  void pack_codes(const FloatSource& source);

  FloatView view_ = {};
  int64_t outputs_ = 0;
  bool gated_ = false;
  ArenaBytes memory_;
  uint8_t* values_ = nullptr;
  uint8_t* zeros_ = nullptr;
  void* scales_ = nullptr;
  float* bias_ = nullptr;
};

}  // namespace nanoaccel
