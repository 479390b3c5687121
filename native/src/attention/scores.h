// Attention that each token of a pass's sequences draws, for eviction from the cache.
#pragma once

#include <cstdint>

#include "attention/kernels.h"
#include "parallel/pool.h"

namespace nanoaccel {

// Cached and new tokens of all sequences.
int64_t scored_tokens(const AttentionPass& pass);

// Writes ``pass.scores``, when the attention of the pass has left its ``softmax``. Each weight is
// rounded to 1 / kScoreUnit, so that sums are exact: they depend on no order, nor on how a text was
// cut into passes.
void add_up_scores(const AttentionKernels& kernels, const AttentionLayer& layer,
                   const AttentionPass& pass, Pool& pool);

}  // namespace nanoaccel
