// Runs a quantized linear over some rows, on the threads of a pool.
#pragma once

#include <cstdint>

#include "linear/kernels.h"
#include "linear/weights.h"
#include "parallel/pool.h"

namespace nanoaccel {

struct LinearCall {
  const float* x;         // [rows][K]
  float* y;               // [rows][outputs]
  const float* residual;  // [rows][outputs]; nullptr is none
  int64_t rows;
  NormView norm;
  Activation activation;
};

// The result for a row does not depend on the other rows, nor on ``parts``.
void run_linear(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
                Pool& pool, int64_t parts);

}  // namespace nanoaccel
