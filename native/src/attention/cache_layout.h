// How keys and values lie in a block of the cache.
//
// A block has, for each layer and each head of it, keys, values and, of int8, their scales:
//
//   keys    [block / 16][size / 2] pairs of numbers of a head, of 16 tokens
//   values  [block / 2][size / 16] pairs of tokens, of 16 numbers
//   scales  f32 [block] of the keys, [block] of the values
//
// A pair has 32 elements: 16 first and 16 second ones; of bf16 each first one beside its second, so
// that a shift and a mask make both f32.
#pragma once

#include <cstdint>

namespace nanoaccel {

// Numbers as ONNX has them.
enum class CacheType : int { kFloat = 1, kInt8 = 3, kHalf = 10, kBfloat16 = 16 };

constexpr int64_t kCacheTile = 16;

struct CacheLayout {
  CacheType type;
  int64_t heads;
  int64_t size;   // numbers of a head, a multiple of 16
  int64_t block;  // tokens of a block, a multiple of 16
};

// Each unit has these for itself: it is compiled for its own instructions.
namespace {

inline int64_t element_bytes(const CacheLayout& cache) {
  if (cache.type == CacheType::kFloat) return 4;
  return cache.type == CacheType::kInt8 ? 1 : 2;
}

// Of the keys of a head in a block; values have as many.
inline int64_t key_bytes(const CacheLayout& cache) {
  return cache.block * cache.size * element_bytes(cache);
}

inline int64_t scale_bytes(const CacheLayout& cache) {
  return cache.type == CacheType::kInt8 ? cache.block * static_cast<int64_t>(sizeof(float)) : 0;
}

inline int64_t head_bytes(const CacheLayout& cache) {
  return 2 * (key_bytes(cache) + scale_bytes(cache));
}

}  // namespace
}  // namespace nanoaccel
