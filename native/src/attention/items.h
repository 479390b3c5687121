// What a pass is divided into.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/kernels.h"

namespace nanoaccel {

// Adds the items of a sequence, each with all pieces that its tokens see; the longest come first.
void add_items(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
               std::vector<AttentionItem>* items);

// Memory of the calling thread; it grows, and never shrinks.
float* thread_scratch(int64_t numbers);

}  // namespace nanoaccel
