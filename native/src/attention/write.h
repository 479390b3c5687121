// Writes keys and values of new tokens into their blocks.
#pragma once

#include "attention/rotate.h"
#include "attention/storage.h"

namespace nanoaccel {
namespace {

constexpr int64_t kLargestHead = 256;

template <class V, class S>
void write_head(const AttentionLayer& layer, const HeadBlock<S>& block, int64_t slot,
                const float* key, const float* value) {
  constexpr int64_t kPair = 2 * kCacheTile;
  typename S::Element elements[kLargestHead];
  const int64_t size = layer.cache.size;

  const float key_scale = S::encode(key, size, elements);
  typename S::Element* keys = block.keys + slot / kCacheTile * kCacheTile * size;
  for (int64_t d = 0; d < size; ++d) {
    keys[d / 2 * kPair + S::place(slot % kCacheTile, d % 2)] = elements[d];
  }
  const float value_scale = S::encode(value, size, elements);
  typename S::Element* values = block.values + slot / 2 * 2 * size;
  for (int64_t d = 0; d < size; ++d) {
    values[d / kCacheTile * kPair + S::place(d % kCacheTile, slot % 2)] = elements[d];
  }
  if (S::kScaled) {
    block.key_scales[slot] = key_scale;
    block.value_scales[slot] = value_scale;
  }
}

// Values are read in pairs of tokens: behind a last one that has no second, nothing old may stand.
template <class S>
void clear_second(const AttentionLayer& layer, const HeadBlock<S>& block, int64_t slot) {
  typename S::Element* values = block.values + slot * layer.cache.size;
  for (int64_t d = 0; d < layer.cache.size; ++d) {
    values[d / kCacheTile * 2 * kCacheTile + S::place(d % kCacheTile, 1)] = 0;
  }
  if (S::kScaled) block.value_scales[slot + 1] = 0.0F;
}

template <class V, class S>
void write_tokens(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
                  int64_t first, int64_t last) {
  alignas(64) float rotated[kLargestHead];
  const int64_t begin = pass.begins[sequence];
  const int64_t count = pass.begins[sequence + 1] - begin;
  for (int64_t i = first; i < last; ++i) {
    const int64_t token = begin + i;
    const int64_t index = pass.pasts[sequence] + i;
    const int64_t slot = index % layer.cache.block;
    uint8_t* const memory = block_of(pass, sequence, index / layer.cache.block);
    for (int64_t head = 0; head < layer.cache.heads; ++head) {
      const HeadBlock<S> block(layer.cache, memory, head);
      const int64_t at = head * layer.cache.size;
      rotate<V>(layer, pass, token, pass.keys.data + token * pass.keys.stride + at, rotated);
      write_head<V, S>(layer, block, slot, rotated,
                       pass.values.data + token * pass.values.stride + at);
      if (i == count - 1 && slot % 2 == 0) clear_second<S>(layer, block, slot);
    }
  }
}

}  // namespace
}  // namespace nanoaccel
