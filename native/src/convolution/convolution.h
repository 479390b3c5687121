// Runs causal convolutions over a pass, on the threads of a pool.
#pragma once

#include <cstdint>
#include <string>

#include "convolution/kernels.h"
#include "parallel/pool.h"

namespace nanoaccel {

// Numbers of a layer in a state.
int64_t state_numbers(const ConvolutionLayer& layer);

// Empty when a layer can be computed, else what is wrong with it.
std::string layer_problem(const ConvolutionLayer& layer);

// Convolves all tokens, and keeps states. The result for a token does not depend on other
// sequences, on how its own was cut into passes, nor on ``parts``.
void run_convolution(const ConvolutionKernels& kernels, const ConvolutionLayer& layer,
                     const ConvolutionPass& pass, Pool& pool, int64_t parts);

}  // namespace nanoaccel
