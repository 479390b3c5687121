// A cache in 4 bits: codes from 0 to 15 between the least and the highest number of each group.
//
// Keys have channels that lie far off zero, so a group's own least number keeps more of it than
// codes around zero would (Liu et al. 2024, "KIVI").
#pragma once

#include "attention/record.h"
#include "attention/storage.h"

namespace nanoaccel {
namespace {

template <class V>
struct Uint4Storage {
  using Element = uint8_t;
  using Float = typename V::Float;
  using Scale = uint16_t;  // f16
  // Of both numbers of a pair.
  struct GroupScales {
    Float scale, least, second_scale, second_least;
  };
  // Of the groups of a head.
  struct Scales {
    uint16_t scales[kLargestHead / kCacheGroup];
    uint16_t leasts[kLargestHead / kCacheGroup];
  };
  static constexpr bool kTokenScales = false;
  static constexpr int64_t kGroup = kCacheGroup;
  static constexpr int64_t kPairElements = kCacheTile;
  static constexpr int64_t kWidened = kLargestHead / kCacheGroup * 2 * kPiece;

  static Scales encode(const float* x, int64_t size, Element* out) {
    Scales found = {};
    for (int64_t begin = 0; begin < size; begin += kGroup) {
      const int64_t end = begin + kGroup < size ? begin + kGroup : size;
      Float low = V::load(x + begin);
      Float high = low;
      for (int64_t i = begin + kCacheTile; i < end; i += kCacheTile) {
        low = V::min(low, V::load(x + i));
        high = V::max(high, V::load(x + i));
      }
      const float least = rounded(least_lane(low), found.leasts + begin / kGroup);
      const float range = V::max_of(high) - least;
      const float scale = rounded(range / 15.0F, found.scales + begin / kGroup);
      const Float inverse = V::set(scale > 0.0F ? 1.0F / scale : 0.0F);
      for (int64_t i = begin; i < end; i += kCacheTile) {
        const Float above = V::add(V::load(x + i), V::set(-least));
        const Float code = V::min(V::max(V::mul(above, inverse), V::set(0.0F)), V::set(15.0F));
        int8_t codes[kCacheTile];
        V::store_bytes(codes, V::round(code));
        std::memcpy(out + i, codes, sizeof codes);
      }
    }
    return found;
  }
  static void put(Element* pair, int64_t lane, int64_t which, Element code) {
    const int old = pair[lane];
    pair[lane] = static_cast<uint8_t>(which == 0 ? (old & 0xf0) | code : (old & 15) | code << 4);
  }
  static void keep(const Scales& found, Scale* memory, int64_t size, int64_t block, int64_t slot) {
    for (int64_t group = 0; group < groups_of(size); ++group) {
      memory[2 * group * block + slot] = found.scales[group];
      memory[(2 * group + 1) * block + slot] = found.leasts[group];
    }
  }
  static void load(const Element* p, Float* first, Float* second) {
    V::load_nibble_pairs(p, first, second);
  }

  // f16 scales of a head of a block as f32.
  static void widen(const Scale* memory, int64_t size, int64_t block, float* out) {
    for (int64_t i = 0; i < 2 * groups_of(size) * block; i += kCacheTile) {
      V::store(out + i, V::load_half(memory + i));
    }
  }
  // Of numbers from ``begin`` on of 16 tokens.
  static GroupScales key_scales(const Scale* memory, int64_t block, int64_t begin) {
    const Scale* const at = memory + 2 * (begin / kGroup) * block;
    const Float scale = V::load_half(at);
    const Float least = V::load_half(at + block);
    return {scale, least, scale, least};
  }
  // Of numbers from ``begin`` on of two tokens, of widened scales.
  static GroupScales value_scales(const float* widened, int64_t block, int64_t begin,
                                  int64_t token) {
    const float* const at = widened + 2 * (begin / kGroup) * block + token;
    return {V::set(at[0]), V::set(at[block]), V::set(at[1]), V::set(at[block + 1])};
  }
  static void scale(const GroupScales& by, Float* first, Float* second) {
    *first = V::fma(*first, by.scale, by.least);
    *second = V::fma(*second, by.second_scale, by.second_least);
  }

 private:
  // A number as f16 holds it, and its bits; what it cannot hold becomes the largest that it can.
  static float rounded(float value, uint16_t* bits) {
    constexpr float kLargest = 65504.0F;
    uint16_t halves[kCacheTile];
    V::store_half(halves, V::min(V::set(kLargest), V::max(V::set(-kLargest), V::set(value))));
    *bits = halves[0];
    float lanes[kCacheTile];
    V::store(lanes, V::load_half(halves));
    return lanes[0];
  }
  static float least_lane(Float v) { return -V::max_of(V::mul(v, V::set(-1.0F))); }
};

}  // namespace
}  // namespace nanoaccel
