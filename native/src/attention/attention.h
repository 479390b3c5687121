// Runs paged attention over a pass, on the threads of a pool.
#pragma once

#include <cstdint>
#include <string>

#include "attention/kernels.h"
#include "parallel/pool.h"

namespace nanoaccel {

// How much there is of what a pass points to.
struct AttentionSizes {
  int64_t tokens;
  int64_t block_ids;
  int64_t cache_blocks;
  int64_t cache_bytes;  // of the layer, in a block
  int64_t positions;    // rows of the tables of cosines and sines
};

// Empty when a layer can be computed, else what is wrong with it.
std::string layer_problem(const AttentionLayer& layer);

// Empty when a pass reads and writes within its bounds, else what is wrong with it.
std::string pass_problem(const AttentionLayer& layer, const AttentionPass& pass,
                         const AttentionSizes& sizes);

// Writes keys and values of all tokens into the cache, and the attention of each to the output.
// The result for a token does not depend on other sequences, on how its own was cut into passes,
// nor on ``parts``.
void run_attention(const AttentionKernels& kernels, const AttentionLayer& layer,
                   const AttentionPass& pass, Pool& pool, int64_t parts);

}  // namespace nanoaccel
