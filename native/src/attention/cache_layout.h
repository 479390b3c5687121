// How keys and values lie in a block of the cache.
//
// A block has, for each layer and each head of it, keys, values and, of integers, the scales of
// both:
//
//   keys    [block / 16][size / 2] pairs of numbers of a head, of 16 tokens
//   values  [block / 2][size / 16] pairs of tokens, of 16 numbers
//   scales  of int8 f32 [block]; of uint4 f16 [groups of 32 numbers][scale, least][block]
//
// A pair has 32 elements: 16 first and 16 second ones; of bf16 each first one beside its second, so
// that a shift and a mask make both f32; of uint4 each first one in the lower half of a byte.
#pragma once

#include <cstdint>

namespace nanoaccel {

// Numbers as ONNX has them.
enum class CacheType : int { kFloat = 1, kInt8 = 3, kHalf = 10, kBfloat16 = 16, kUint4 = 21 };

constexpr int64_t kCacheTile = 16;
constexpr int64_t kCacheGroup = 32;  // numbers of a head that share a scale, of uint4

struct CacheLayout {
  CacheType type;
  int64_t heads;
  int64_t size;   // numbers of a head, a multiple of 16
  int64_t block;  // tokens of a block, a multiple of 16
};

// Each unit has these for itself: it is compiled for its own instructions.
namespace {

inline int64_t element_bits(const CacheLayout& cache) {
  switch (cache.type) {
    case CacheType::kFloat:
      return 32;
    case CacheType::kInt8:
      return 8;
    case CacheType::kUint4:
      return 4;
    default:
      return 16;
  }
}

// Of the keys of a head in a block; values have as many.
inline int64_t key_bytes(const CacheLayout& cache) {
  return cache.block * cache.size * element_bits(cache) / 8;
}

// Of a head with so many numbers; the last may have fewer.
inline int64_t groups_of(int64_t size) { return (size + kCacheGroup - 1) / kCacheGroup; }

// Of the keys of a head in a block; values have as many.
inline int64_t scale_bytes(const CacheLayout& cache) {
  constexpr auto kFloatBytes = static_cast<int64_t>(sizeof(float));
  if (cache.type == CacheType::kInt8) return cache.block * kFloatBytes;
  // A scale and a least number in f16.
  if (cache.type == CacheType::kUint4) return cache.block * groups_of(cache.size) * kFloatBytes;
  return 0;
}

inline int64_t head_bytes(const CacheLayout& cache) {
  return 2 * (key_bytes(cache) + scale_bytes(cache));
}

}  // namespace
}  // namespace nanoaccel
