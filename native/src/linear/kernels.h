// The quantized linear as its kernels see it: views of memory, and the functions of a path.
//
// Outputs stand in tiles of 16, and two tiles in a unit: neighbours, or a gate and its up
// projection. 64 bytes hold the codes of a tile for four values of k (8 bits) or eight (4 bits:
// low nibbles k..k+3, high ones k+4..k+7), row by row, so that one vector serves all 16. A group of
// a unit is [k][tile][64]; the two tiles of a unit are read as one stream.
//
//   y[m, n] = sum over groups g of
//             float(sum over k of (code[n, k] - zero[n, g]) * q[m, k]) * (scale[n, g] * s[m, g])
//
// The inner sum is exact in int32. The outer one adds group by group with fused multiply-adds, in
// the same order on every path and for any number of rows.
#pragma once

#include <cstdint>

namespace nanoaccel {

constexpr int kTile = 16;
constexpr int kUnitTiles = 2;
constexpr int kTileBytes = 64;
constexpr int kStep = 8;        // of k, in the order of activations
constexpr int kMaxGroup = 256;  // the sum of a group's activations fits 16 bits

// What codes are. E2M1 numbers, of 4 bits too, become integers that are twice as large, and 12
// more, so that none is negative; their scales are half as large as in a file. Zero points go with
// integers alone.
enum class Coding : int { kNibbles, kBytes, kE2m1 };

constexpr int bits_of(Coding coding) { return coding == Coding::kBytes ? 8 : 4; }

// What stands for zero where there are no zero points.
constexpr int middle_of(Coding coding) {
  return coding == Coding::kBytes ? 128 : coding == Coding::kNibbles ? 8 : 12;
}

struct LinearView {
  int64_t inputs;  // K
  int64_t units;
  int64_t groups;  // along K; the last one may be padded
  int group;       // values of k that share scales: 16, 32, ... 256
  Coding coding;
  bool half;  // whether scales are f16, else f32
  const uint8_t* codes;
  const void* scales;    // [unit][group][tile][16]
  const uint8_t* zeros;  // the same; nullptr is the middle of the range
};

// Activations of some rows in int8, a scale and a start for each group.
//
// Rows stand in blocks of as many as a path multiplies together, the last block with fewer, so
// that a block is one stream: its codes are [k / 8][row][8], the others [group][row].
struct ActivationView {
  int64_t rows;
  int64_t groups;
  int64_t padded;  // values of k, groups times their size
  int8_t* codes;
  float* scales;
  // Minus the sum of a group's codes, of which the lower 16 bits count; where there are no zero
  // points, that times the middle of the range: what its sums begin with.
  uint32_t* starts;
};

// Rows of a block that begins at a row.
constexpr int64_t block_rows(int64_t rows, int64_t begin, int64_t block) {
  return rows - begin < block ? rows - begin : block;
}

// RMSNorm(x) * weight, or LayerNorm(x) * weight + bias; none where weight is nullptr.
struct NormView {
  const float* weight;
  float epsilon;
  const float* bias;  // nullptr is none
  bool centered;      // whether the mean is subtracted: a LayerNorm
};

enum class Activation : int { kNone, kSilu, kGelu, kTanhGelu, kQuickGelu, kRelu, kSquaredRelu };
constexpr int kActivations = 7;

struct RowUpdate;  // low_rank/kernels.h

// y = x * W, and what updates add to it, + bias; then the activation, of all outputs or of gates,
// which up projections are multiplied with; then + residual.
struct OutputView {
  float* y;  // [row][width]
  int64_t width;
  const float* bias;      // [unit][tile][16]; nullptr is none
  const float* residual;  // [row][width]; nullptr is none
  Activation activation;
  bool gated;
  const RowUpdate* updates;  // [row]; nullptr is none of any row
};

struct Range {
  int64_t begin;
  int64_t end;
};

// Ranges of rows begin at a multiple of ``row_block``.
struct LinearKernels {
  int64_t row_block;
  void (*quantize)(const LinearView&, const NormView&, const float* x, const ActivationView&,
                   Range rows);
  void (*multiply)(const LinearView&, const ActivationView&, const OutputView&, Range rows,
                   Range units);
  int64_t (*multiply_peak)(int64_t rounds);  // see linear/peak.h
};

}  // namespace nanoaccel
