// Runs linear attention over a pass, on the threads of a pool.
#pragma once

#include <cstdint>
#include <string>

#include "linear_attention/kernels.h"
#include "parallel/pool.h"

namespace nanoaccel {

// Numbers of a layer in a state.
int64_t state_numbers(const LinearAttentionLayer& layer);

// Empty when a layer can be computed, else what is wrong with it.
std::string layer_problem(const LinearAttentionLayer& layer);

// Attends to all tokens, and keeps states; ``decays`` and ``writes`` of the pass are set here. The
// result for a token does not depend on other sequences, on how its own was cut into passes, nor on
// the threads of the pool.
void run_linear_attention(const LinearAttentionKernels& kernels, const LinearAttentionLayer& layer,
                          const LinearAttentionPass& pass, Pool& pool);

}  // namespace nanoaccel
