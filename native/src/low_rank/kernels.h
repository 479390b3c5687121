// Low-rank updates of a linear (LoRA, Hu et al. 2021) as their kernels see them.
//
//   hidden[m, r] = scale[r] * sum over k of down[r, k] * x[m, k]
//   y[m, n]     += sum over r of up[n, r] * hidden[m, r]
//
// x is the input in f32, behind its norm. A matrix of several modules has an update with hidden
// numbers of each of them, those of a module from a multiple of 16 on. All sums have one order, on
// every path and for any number of rows: k runs through four segments, whose sums are added in
// pairs; r goes from the first to the last, beginning with what the linear itself gives.
#pragma once

#include <cstdint>

#include "linear/kernels.h"

namespace nanoaccel {

constexpr int kSegments = 4;

enum class UpdateFormat : int {
  kFloat32,
  kInt8,  // the scales of down and up are multiplied to hidden numbers
};

// What outputs of one tile get from one module.
struct UpdatePiece {
  uint32_t row;  // of up, where its numbers begin: [rank][16]
  uint16_t hidden_tile;
  uint16_t rank;
};

struct UpdateView {
  UpdateFormat format;
  int64_t inputs;                // K
  int64_t segment;               // values of k in a segment; the last ones may be padding
  int64_t hidden_tiles;          // of 16 hidden numbers
  int64_t output_tiles;          // as the linear has them, two in a unit
  const void* down;              // [hidden tile][segment][kSegments][16]
  const float* scales;           // [hidden tile][16]; nullptr is 1
  const uint32_t* pieces_begin;  // [output tiles + 1]
  const UpdatePiece* pieces;
  const void* up;

  int64_t padded() const { return segment * kSegments; }
  int64_t hidden() const { return hidden_tiles * kTile; }
};

// The update of a row; nullptr is none.
struct RowUpdate {
  const UpdateView* update;
  const float* hidden;
};

struct LowRankKernels {
  // A row after its norm, and zeros up to so many numbers.
  void (*prepare)(const NormView&, const float* x, int64_t inputs, int64_t padded, float* out);
  // A tile of the hidden numbers of some rows.
  //
  // Args: padded rows; hidden numbers of each of them.
  void (*reduce)(const UpdateView&, int64_t tile, const float* const* x, float* const* hidden,
                 int64_t rows);
};

}  // namespace nanoaccel
