// Runs a quantized linear over some rows, on the threads of a pool.
#pragma once

#include <cstdint>

#include "linear/kernels.h"
#include "linear/weights.h"
#include "parallel/pool.h"

namespace nanoaccel {

class AdapterTable;
struct LowRankKernels;

// The adapters of rows, of which neighbours may share a slot.
struct AdapterRows {
  const int32_t* slots;  // negative ones are none; nullptr is none of any row
  int64_t share;         // rows of each slot
  int64_t first;         // row of the call among all of them
  const AdapterTable* table;
  const LowRankKernels* kernels;
  int64_t matrix;  // of the linear, as adapters number them

  int32_t slot(int64_t row) const { return slots[(first + row) / share]; }
};

struct LinearCall {
  const float* x;         // [rows][K]
  float* y;               // [rows][outputs]
  const float* residual;  // [rows][outputs]; nullptr is none
  int64_t rows;
  NormView norm;
  Activation activation;
  AdapterRows adapters;
};

// The result for a row does not depend on the other rows, nor on ``parts``.
void run_linear(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
                Pool& pool, int64_t parts);

}  // namespace nanoaccel
