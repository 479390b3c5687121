// The types that a cache may have: how a head is written, and how pairs are read.
//
// Of each: ``encode`` makes elements of the numbers of a head, and gives their scales; ``put``
// writes one of a pair, and ``keep`` the scales of a token; ``load`` reads the 16 first and the 16
// second ones. Scales of tokens are multiplied in behind the products; those of ``kGroup`` numbers
// of a head by ``scale``, as numbers are loaded.
#pragma once

#include <cstdint>
#include <cstring>

#include "attention/cache_layout.h"
#include "linear/quantize.h"

namespace nanoaccel {
namespace {

constexpr int64_t kLargestHead = 256;

// What types without scales of groups have of them.
template <class V>
struct Ungrouped {
  using Float = typename V::Float;
  struct GroupScales {};
  static constexpr bool kTokenScales = false;
  static constexpr int64_t kGroup = kLargestHead;
  static constexpr int64_t kPairElements = 2 * kCacheTile;
  static constexpr int64_t kWidened = 1;

  static void widen(const float*, int64_t, int64_t, float*) {}
  static GroupScales key_scales(const float*, int64_t, int64_t) { return {}; }
  static GroupScales value_scales(const float*, int64_t, int64_t, int64_t) { return {}; }
  static void scale(const GroupScales&, Float*, Float*) {}
};

// What types without any scales have of them.
template <class V>
struct Unscaled : Ungrouped<V> {
  using Scale = float;
  struct Scales {};

  static void keep(const Scales&, float*, int64_t, int64_t, int64_t) {}
};

template <class V>
struct FloatStorage : Unscaled<V> {
  using Element = float;
  using Float = typename V::Float;
  using Scales = typename Unscaled<V>::Scales;

  static Scales encode(const float* x, int64_t size, Element* out) {
    std::memcpy(out, x, static_cast<size_t>(size) * sizeof(float));
    return {};
  }
  static void put(Element* pair, int64_t lane, int64_t which, Element element) {
    pair[which * kCacheTile + lane] = element;
  }
  static void load(const Element* p, Float* first, Float* second) {
    *first = V::load(p);
    *second = V::load(p + kCacheTile);
  }
};

template <class V>
struct HalfStorage : Unscaled<V> {
  using Element = uint16_t;
  using Float = typename V::Float;
  using Scales = typename Unscaled<V>::Scales;

  // What f16 cannot hold becomes the largest that it can.
  static Scales encode(const float* x, int64_t size, Element* out) {
    constexpr float kLargest = 65504.0F;
    for (int64_t i = 0; i < size; i += kCacheTile) {
      const Float low = V::max(V::set(-kLargest), V::load(x + i));
      V::store_half(out + i, V::min(V::set(kLargest), low));
    }
    return {};
  }
  static void put(Element* pair, int64_t lane, int64_t which, Element element) {
    pair[which * kCacheTile + lane] = element;
  }
  static void load(const Element* p, Float* first, Float* second) {
    *first = V::load_half(p);
    *second = V::load_half(p + kCacheTile);
  }
};

template <class V>
struct Bfloat16Storage : Unscaled<V> {
  using Element = uint16_t;
  using Float = typename V::Float;
  using Scales = typename Unscaled<V>::Scales;

  // To the nearest, ties to even; a NaN keeps its upper bits.
  static Scales encode(const float* x, int64_t size, Element* out) {
    for (int64_t i = 0; i < size; ++i) {
      uint32_t bits;
      std::memcpy(&bits, x + i, sizeof bits);
      const uint32_t rounded = bits + 0x7fffU + ((bits >> 16U) & 1U);
      const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
      out[i] = static_cast<uint16_t>((nan ? bits | 0x400000U : rounded) >> 16U);
    }
    return {};
  }
  static void put(Element* pair, int64_t lane, int64_t which, Element element) {
    pair[2 * lane + which] = element;
  }
  static void load(const Element* p, Float* first, Float* second) {
    V::load_bfloat16_pairs(p, first, second);
  }
};

template <class V>
struct Int8Storage : Ungrouped<V> {
  using Element = int8_t;
  using Float = typename V::Float;
  using Scale = float;
  using Scales = float;
  static constexpr bool kTokenScales = true;

  static Scales encode(const float* x, int64_t size, Element* out) {
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
  static void put(Element* pair, int64_t lane, int64_t which, Element element) {
    pair[which * kCacheTile + lane] = element;
  }
  static void keep(const Scales& scale, Scale* memory, int64_t, int64_t, int64_t slot) {
    memory[slot] = scale;
  }
  static void load(const Element* p, Float* first, Float* second) {
    *first = V::to_float(V::load_signed_bytes(p));
    *second = V::to_float(V::load_signed_bytes(p + kCacheTile));
  }
};

// A head of a block, as elements of its type.
template <class S>
struct HeadBlock {
  using Element = typename S::Element;
  using Scale = typename S::Scale;

  Element* keys;
  Element* values;
  Scale* key_scales;
  Scale* value_scales;

  HeadBlock(const CacheLayout& cache, uint8_t* block, int64_t head) {
    uint8_t* const begin = block + head * head_bytes(cache);
    keys = reinterpret_cast<Element*>(begin);
    values = reinterpret_cast<Element*>(begin + key_bytes(cache));
    key_scales = reinterpret_cast<Scale*>(begin + 2 * key_bytes(cache));
    value_scales = reinterpret_cast<Scale*>(begin + 2 * key_bytes(cache) + scale_bytes(cache));
  }

  // The 16 keys, and the pair of values, that the one of a slot is among.
  Element* key_tile(int64_t slot, int64_t size) const {
    return keys + slot / kCacheTile * (size / 2) * S::kPairElements;
  }
  Element* value_pair(int64_t slot, int64_t size) const {
    return values + slot / 2 * (size / kCacheTile) * S::kPairElements;
  }
};

}  // namespace
}  // namespace nanoaccel
