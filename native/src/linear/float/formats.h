// How 16 outputs' weights become f32: a word holds them for a step of k, one after the other.
#pragma once

#include "linear/float/kernels.h"

namespace nanoaccel {
namespace {

// What codes of a tile share within a group; nothing for floats.
struct NoGroup {};

template <class V>
struct CodeGroup {
  typename V::Float zero, scale;
  const float* table;
};

template <class V>
struct Float32 {
  static constexpr int kWordStep = 1;
  static constexpr int kWordBytes = 64;
  using Group = NoGroup;
  const uint8_t* at;

  explicit Float32(const uint8_t* p) : at(p) {}
  typename V::Float next(Group) { return V::load(reinterpret_cast<const float*>(at)); }
};

template <class V>
struct Float16 {
  static constexpr int kWordStep = 1;
  static constexpr int kWordBytes = 32;
  using Group = NoGroup;
  const uint8_t* at;

  explicit Float16(const uint8_t* p) : at(p) {}
  typename V::Float next(Group) { return V::load_half(reinterpret_cast<const uint16_t*>(at)); }
};

template <class V>
struct Bfloat16 {
  static constexpr int kWordStep = 2;
  static constexpr int kWordBytes = 64;
  using Group = NoGroup;
  typename V::Float first, second;

  explicit Bfloat16(const uint8_t* p) {
    V::load_bfloat16_pairs(reinterpret_cast<const uint16_t*>(p), &first, &second);
  }
  typename V::Float next(Group) {
    const typename V::Float now = first;
    first = second;
    return now;
  }
};

template <class V>
struct Nibbles {
  static constexpr int kWordStep = 8;
  static constexpr int kWordBytes = 64;
  using Group = CodeGroup<V>;
  typename V::Int word;

  explicit Nibbles(const uint8_t* p) : word(V::load_words(p)) {}
  typename V::Float next(const Group& group) {
    const typename V::Float value = V::look_up(group.table, word);
    word = V::template shift_right<4>(word);
    return V::mul(V::add(value, group.zero), group.scale);
  }
};

template <class V>
struct Bytes {
  static constexpr int kWordStep = 4;
  static constexpr int kWordBytes = 64;
  using Group = CodeGroup<V>;
  typename V::Int word;

  explicit Bytes(const uint8_t* p) : word(V::load_words(p)) {}
  typename V::Float next(const Group& group) {
    const typename V::Float value = V::to_float(V::low_byte(word));
    word = V::template shift_right<8>(word);
    return V::mul(V::add(value, group.zero), group.scale);
  }
};

// The group of a tile that value k is in.
template <class V>
void read_group(const FloatView&, int64_t, int64_t, NoGroup*) {}

template <class V>
void read_group(const FloatView& w, int64_t tile, int64_t k, CodeGroup<V>* group) {
  const int64_t unit = tile / kUnitTiles;
  const int64_t block = (unit * w.groups + k / w.group) * kUnitTiles + tile % kUnitTiles;
  group->table = w.table;
  group->scale = w.half ? V::load_half(static_cast<const uint16_t*>(w.scales) + block * kTile)
                        : V::load(static_cast<const float*>(w.scales) + block * kTile);
  group->zero = V::set(0.0F);
  if (w.zeros != nullptr) {
    const auto zero = V::to_float(V::load_bytes(w.zeros + block * kTile));
    group->zero = V::mul(zero, V::set(-1.0F));
  }
}

}  // namespace
}  // namespace nanoaccel
