// The float linear as its kernels see it: f32 activations, and weights of any format that become
// f32 in registers.
//
// Outputs stand in tiles of 16, two of them in a unit, as in the quantized linear. A unit is
// [k / step][tile][bytes of a tile]; a step of a format is as many values of k as one load brings.
//
//   y[m, n] = sum over k of w[n, k] * x[m, k]
//
// The sum runs over k from the first to the last with fused multiply-adds: the same order on every
// path and for any number of rows.
#pragma once

#include <cstdint>

#include "linear/kernels.h"

namespace nanoaccel {

enum class Format : int {
  kFloat32,
  kFloat16,
  kBfloat16,  // pairs of neighbouring k for each output
  kNibbles,   // eight k for each output: (table[code] - zero) * scale
  kBytes,     // four k for each output: (code - zero) * scale
};

constexpr int64_t kFloatStep = 8;  // K is padded to a multiple of it, which all steps divide

struct FloatView {
  int64_t inputs;  // K
  int64_t padded;
  int64_t units;
  Format format;
  const uint8_t* values;
  // Of codes alone.
  int64_t group;         // values of k that share a scale
  int64_t groups;        // along K
  bool half;             // whether scales are f16, else f32
  const void* scales;    // [unit][group][tile][16]
  const uint8_t* zeros;  // the same; nullptr is none
  const float* table;    // [16]
};

// Rows of activations after their norm, in blocks of as many rows as a path multiplies together,
// the last block with fewer: [k][row].
struct FloatRows {
  int64_t rows;
  int64_t padded;
  float* x;
};

// Ranges of rows begin at a multiple of ``row_block``.
struct FloatKernels {
  int64_t row_block;
  void (*prepare)(const FloatView&, const NormView&, const float* x, const FloatRows&, Range rows);
  void (*multiply)(const FloatView&, const FloatRows&, const OutputView&, Range rows, Range units);
};

}  // namespace nanoaccel
