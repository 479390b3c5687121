// The kernels of paged attention for one kind of vector and all types of cache.
#pragma once

#include "attention/score.h"
#include "attention/storage_uint4.h"
#include "attention/write.h"

namespace nanoaccel {
namespace {

template <class V>
void write_any(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
               int64_t head, int64_t first, int64_t last) {
  switch (layer.cache.type) {
    case CacheType::kFloat:
      return write_tokens<V, FloatStorage<V>>(layer, pass, sequence, head, first, last);
    case CacheType::kHalf:
      return write_tokens<V, HalfStorage<V>>(layer, pass, sequence, head, first, last);
    case CacheType::kBfloat16:
      return write_tokens<V, Bfloat16Storage<V>>(layer, pass, sequence, head, first, last);
    case CacheType::kInt8:
      return write_tokens<V, Int8Storage<V>>(layer, pass, sequence, head, first, last);
    case CacheType::kUint4:
      return write_tokens<V, Uint4Storage<V>>(layer, pass, sequence, head, first, last);
  }
}

template <class V>
void attend_any(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
                float* scratch) {
  switch (layer.cache.type) {
    case CacheType::kFloat:
      return attend<V, FloatStorage<V>>(layer, pass, item, scratch);
    case CacheType::kHalf:
      return attend<V, HalfStorage<V>>(layer, pass, item, scratch);
    case CacheType::kBfloat16:
      return attend<V, Bfloat16Storage<V>>(layer, pass, item, scratch);
    case CacheType::kInt8:
      return attend<V, Int8Storage<V>>(layer, pass, item, scratch);
    case CacheType::kUint4:
      return attend<V, Uint4Storage<V>>(layer, pass, item, scratch);
  }
}

template <class V>
void score_any(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
               int64_t piece, float* scratch, int64_t* sums) {
  switch (layer.cache.type) {
    case CacheType::kFloat:
      return score<V, FloatStorage<V>>(layer, pass, item, piece, scratch, sums);
    case CacheType::kHalf:
      return score<V, HalfStorage<V>>(layer, pass, item, piece, scratch, sums);
    case CacheType::kBfloat16:
      return score<V, Bfloat16Storage<V>>(layer, pass, item, piece, scratch, sums);
    case CacheType::kInt8:
      return score<V, Int8Storage<V>>(layer, pass, item, piece, scratch, sums);
    case CacheType::kUint4:
      return score<V, Uint4Storage<V>>(layer, pass, item, piece, scratch, sums);
  }
}

template <class V>
constexpr AttentionKernels attention_kernels() {
  return {write_any<V>, attend_any<V>, score_any<V>, absorb_records<V>};
}

}  // namespace
}  // namespace nanoaccel
