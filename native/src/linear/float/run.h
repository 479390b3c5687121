// Runs a float linear over some rows, on the threads of a pool.
#pragma once

#include <cstdint>

#include "linear/float/float_weights.h"
#include "linear/float/kernels.h"
#include "linear/linear.h"
#include "parallel/pool.h"

namespace nanoaccel {

// The result for a row does not depend on the other rows, nor on ``parts``.
void run_float_linear(const FloatKernels& kernels, const FloatWeights& weights,
                      const LinearCall& call, Pool& pool, int64_t parts);

}  // namespace nanoaccel
