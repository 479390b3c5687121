// The types that a cache may have: how a head is written, and how pairs are read.
#pragma once

#include <cstdint>
#include <cstring>

#include "attention/cache_layout.h"
#include "linear/quantize.h"

namespace nanoaccel {
namespace {

// Of each: ``encode`` makes elements of the numbers of a head, and gives their scale; ``place`` is
// where an element of a pair lies; ``load`` reads the 16 first and the 16 second ones.

template <class V>
struct FloatStorage {
  using Element = float;
  using Float = typename V::Float;
  static constexpr bool kScaled = false;

  static float encode(const float* x, int64_t size, Element* out) {
    std::memcpy(out, x, static_cast<size_t>(size) * sizeof(float));
    return 1.0F;
  }
  static constexpr int64_t place(int64_t lane, int64_t which) { return which * kCacheTile + lane; }
  static void load(const Element* p, Float* first, Float* second) {
    *first = V::load(p);
    *second = V::load(p + kCacheTile);
  }
};

template <class V>
struct HalfStorage {
  using Element = uint16_t;
  using Float = typename V::Float;
  static constexpr bool kScaled = false;

  // What f16 cannot hold becomes the largest that it can.
  static float encode(const float* x, int64_t size, Element* out) {
    constexpr float kLargest = 65504.0F;
    for (int64_t i = 0; i < size; i += kCacheTile) {
      const Float low = V::max(V::set(-kLargest), V::load(x + i));
      V::store_half(out + i, V::min(V::set(kLargest), low));
    }
    return 1.0F;
  }
  static constexpr int64_t place(int64_t lane, int64_t which) { return which * kCacheTile + lane; }
  static void load(const Element* p, Float* first, Float* second) {
    *first = V::load_half(p);
    *second = V::load_half(p + kCacheTile);
  }
};

template <class V>
struct Bfloat16Storage {
  using Element = uint16_t;
  using Float = typename V::Float;
  static constexpr bool kScaled = false;

  // To the nearest, ties to even; a NaN keeps its upper bits.
  static float encode(const float* x, int64_t size, Element* out) {
    for (int64_t i = 0; i < size; ++i) {
      uint32_t bits;
      std::memcpy(&bits, x + i, sizeof bits);
      const uint32_t rounded = bits + 0x7fffU + ((bits >> 16U) & 1U);
      const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
      out[i] = static_cast<uint16_t>((nan ? bits | 0x400000U : rounded) >> 16U);
    }
    return 1.0F;
  }
  static constexpr int64_t place(int64_t lane, int64_t which) { return 2 * lane + which; }
  static void load(const Element* p, Float* first, Float* second) {
    V::load_bfloat16_pairs(p, first, second);
  }
};

template <class V>
struct Int8Storage {
  using Element = int8_t;
  using Float = typename V::Float;
  static constexpr bool kScaled = true;

  static float encode(const float* x, int64_t size, Element* out) {
    Float most = V::set(0.0F);
    for (int64_t i = 0; i < size; i += kCacheTile) most = V::max(most, V::abs(V::load(x + i)));
    const float maximum = V::max_of(most);
    const bool some = maximum > kLeastMaximum;
    const Float inverse = V::set(some ? 127.0F / maximum : 0.0F);
    for (int64_t i = 0; i < size; i += kCacheTile) {
      V::store_bytes(out + i, V::round(V::mul(V::load(x + i), inverse)));
    }
    return some ? maximum / 127.0F : 0.0F;
  }
  static constexpr int64_t place(int64_t lane, int64_t which) { return which * kCacheTile + lane; }
  static void load(const Element* p, Float* first, Float* second) {
    *first = V::to_float(V::load_signed_bytes(p));
    *second = V::to_float(V::load_signed_bytes(p + kCacheTile));
  }
};

// A head of a block, as elements of its type.
template <class S>
struct HeadBlock {
  using Element = typename S::Element;

  Element* keys;
  Element* values;
  float* key_scales;
  float* value_scales;

  HeadBlock(const CacheLayout& cache, uint8_t* block, int64_t head) {
    uint8_t* const begin = block + head * head_bytes(cache);
    keys = reinterpret_cast<Element*>(begin);
    values = reinterpret_cast<Element*>(begin + key_bytes(cache));
    key_scales = reinterpret_cast<float*>(begin + 2 * key_bytes(cache));
    value_scales = key_scales + cache.block;
  }
};

}  // namespace
}  // namespace nanoaccel
