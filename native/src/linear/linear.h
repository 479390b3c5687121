// Runs a quantized linear over some rows, on the threads of a pool.
#pragma once

#include <cstddef>
#include <cstdint>

#include "linear/kernels.h"
#include "linear/weights.h"

namespace nanoaccel {

// Threads that run parts of a work, in any order; all are done when ``run`` returns.
class Pool {
 public:
  using Part = void (*)(void* work, size_t index);

  virtual ~Pool() = default;
  virtual void run(Part part, size_t parts, void* work) = 0;
};

struct LinearCall {
  const float* x;         // [rows][K]
  float* y;               // [rows][outputs]
  const float* residual;  // [rows][outputs]; nullptr is none
  int64_t rows;
  NormView norm;
};

// The result for a row does not depend on the other rows, nor on ``parts``.
void run_linear(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
                Pool& pool, int64_t parts);

}  // namespace nanoaccel
