// Weights of a quantized linear: as a file keeps them, and packed for the kernels.
#pragma once

#include <cstdint>
#include <string>

#include "linear/kernels.h"
#include "linear/stored.h"
#include "memory/arena.h"

namespace nanoaccel {

// The layout of MatMulNBits, without repetitions: 4 or 8 bits, in groups of a power of two from 16
// to 256; or MXFP4, of which the codes are E2M1 numbers.
struct LinearSource : StoredMatrix {
  Numbers<uint8_t> codes;  // [N][groups][group * bits / 8]
  bool doubled = false;    // codes of 4 bits are E2M1 numbers, and scales half of theirs
};

class PackedWeights {
 public:
  // Empty when packed, else what is wrong with the source; it is not read out of its bounds.
  //
  // Codes of 8 bits that E2M1 numbers hold, doubled, are packed as these: MXFP4 that became int8.
  std::string pack(const LinearSource& source);

  const LinearView& view() const { return view_; }
  const float* bias() const { return bias_; }
  bool gated() const { return gated_; }
  int64_t outputs() const { return outputs_; }  // columns of the result

 private:
  void allocate(const LinearSource& source);
  void pack_unit(const LinearSource& source, int64_t unit);
  int64_t row_of(const LinearSource& source, int64_t unit, int64_t lane) const;

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
