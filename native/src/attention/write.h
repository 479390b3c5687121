// Writes keys and values of new tokens into their blocks.
#pragma once

#include "attention/rotate.h"
#include "attention/storage.h"

namespace nanoaccel {
namespace {

template <class S>
void put_value(const CacheLayout& cache, const HeadBlock<S>& block, int64_t slot,
               const typename S::Element* elements, const typename S::Scales& scales) {
  typename S::Element* const pair = block.value_pair(slot, cache.size);
  for (int64_t d = 0; d < cache.size; ++d) {
    S::put(pair + d / kCacheTile * S::kPairElements, d % kCacheTile, slot % 2, elements[d]);
  }
  S::keep(scales, block.value_scales, cache.size, cache.block, slot);
}

template <class V, class S>
void write_head(const CacheLayout& cache, const HeadBlock<S>& block, int64_t slot, const float* key,
                const float* value) {
  typename S::Element elements[kLargestHead];
  const typename S::Scales scales = S::encode(key, cache.size, elements);
  typename S::Element* const tile = block.key_tile(slot, cache.size);
  for (int64_t d = 0; d < cache.size; ++d) {
    S::put(tile + d / 2 * S::kPairElements, slot % kCacheTile, d % 2, elements[d]);
  }
  S::keep(scales, block.key_scales, cache.size, cache.block, slot);
  put_value<S>(cache, block, slot, elements, S::encode(value, cache.size, elements));
}

// Values are read in pairs of tokens: behind a last one that has no second, nothing old may stand.
template <class S>
void clear_second(const CacheLayout& cache, const HeadBlock<S>& block, int64_t slot) {
  const typename S::Element zeros[kLargestHead] = {};
  put_value<S>(cache, block, slot + 1, zeros, {});
}

template <class V, class S>
void write_tokens(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
                  int64_t head, int64_t first, int64_t last) {
  alignas(64) float rotated[kLargestHead];
  const CacheLayout& cache = layer.cache;
  const int64_t begin = pass.begins[sequence];
  const int64_t at = head * cache.size;
  for (int64_t i = first; i < last; ++i) {
    const int64_t token = begin + i;
    const int64_t index = pass.pasts[sequence] + i;
    const int64_t slot = index % cache.block;
    const HeadBlock<S> block(cache, block_of(pass, sequence, index / cache.block), head);
    const float* const key = pass.keys.data + token * pass.keys.stride + at;
    prepare<V>(layer, pass, token, key, pass.key_norm, rotated);
    write_head<V, S>(cache, block, slot, rotated,
                     pass.values.data + token * pass.values.stride + at);
    if (i == new_tokens(pass, sequence) - 1 && slot % 2 == 0) clear_second<S>(cache, block, slot);
  }
}

}  // namespace
}  // namespace nanoaccel
