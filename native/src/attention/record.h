// Records of pieces: made of scores, and absorbed one after the other.
#pragma once

#include <cmath>

#include "attention/kernels.h"
#include "linear/quantize.h"
#include "linear/silu.h"

namespace nanoaccel {
namespace {

constexpr float kNothing = -INFINITY;  // the highest score of a row that sees nothing

// What some rows made of a piece, or of all pieces so far.
struct Record {
  float* highest;  // [rows]
  float* sums;     // [rows]
  float* values;   // [rows][size]

  Record(float* numbers, int64_t rows)
      : highest(numbers), sums(numbers + rows), values(numbers + 2 * rows) {}
};

// Columns of a piece, from its first token on.
struct Columns {
  int64_t begin;
  int64_t end;

  bool empty() const { return begin >= end; }
};

template <class V>
typename V::Float within(typename V::Float v, Columns seen, int64_t tile, float otherwise) {
  if (seen.begin <= tile && tile + kTile <= seen.end) return v;
  const auto lane = [tile](int64_t column) {
    const int64_t at = column - tile;
    return static_cast<int>(at < 0 ? 0 : (at < kTile ? at : kTile));
  };
  return V::within(v, lane(seen.begin), lane(seen.end), otherwise);
}

// cap * tanh(x / cap).
template <class V>
typename V::Float soften(typename V::Float x, float cap) {
  const typename V::Float power = exponential<V>(V::mul(x, V::set(2.0F / cap)));
  const typename V::Float tanh = V::div(V::add(power, V::set(-1.0F)), V::add(power, V::set(1.0F)));
  return V::mul(tanh, V::set(cap));
}

// What becomes of a row's scores before their softmax.
struct Shape {
  float softcap;     // 0 is none
  float slope;       // 0 is none; ALiBi, Press et al. 2022, https://arxiv.org/abs/2108.12409
  int64_t distance;  // from the row's own token to the first one of the piece: never above 0

  bool none() const { return softcap <= 0.0F && slope == 0.0F; }
};

// Scores of 16 tokens, from column ``t`` of a piece on.
template <class V>
typename V::Float shaped(typename V::Float score, const Shape& shape, int64_t t) {
  constexpr float kLanes[kTile] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  if (shape.softcap > 0.0F) score = soften<V>(score, shape.softcap);
  if (shape.slope == 0.0F) return score;
  const auto first = V::set(static_cast<float>(shape.distance + t));
  return V::fma(V::add(first, V::load(kLanes)), V::set(shape.slope), score);
}

// Makes weights of a row's scores, in place, over the tiles of ``all``; what is not ``seen`` gets
// none.
template <class V>
void weigh(float* scores, Columns all, Columns seen, const Shape& shape, float* highest,
           float* sum) {
  using Float = typename V::Float;
  Float most = V::set(kNothing);
  for (int64_t t = all.begin; t < all.end; t += kTile) {
    Float score = V::load(scores + t);
    if (!shape.none()) V::store(scores + t, score = shaped<V>(score, shape, t));
    most = V::max(most, within<V>(score, seen, t, kNothing));
  }
  *highest = V::max_of(most);
  const Float below = V::set(-*highest);
  Float total = V::set(0.0F);
  for (int64_t t = all.begin; t < all.end; t += kTile) {
    const Float weight = exponential<V>(V::add(V::load(scores + t), below));
    const Float kept = within<V>(weight, seen, t, 0.0F);
    V::store(scores + t, kept);
    total = V::add(total, kept);
  }
  *sum = V::sum_of(total);
}

// Nothing but the sinks of the rows.
inline void start(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
                  const Record& running) {
  const int64_t rows = rows_of(layer, item);
  const float* const sinks = pass.sinks == nullptr ? nullptr : pass.sinks + item.head * layer.group;
  for (int64_t row = 0; row < rows; ++row) {
    running.highest[row] = sinks != nullptr ? sinks[row % layer.group] : kNothing;
    running.sums[row] = sinks != nullptr ? 1.0F : 0.0F;
  }
  for (int64_t i = 0; i < rows * layer.cache.size; ++i) running.values[i] = 0.0F;
}

template <class V>
void absorb(const Record& running, const Record& next, int64_t rows, int64_t size) {
  using Float = typename V::Float;
  float old_factors[kTile];
  float new_factors[kTile];
  for (int64_t begin = 0; begin < rows; begin += kTile) {
    const int64_t left = rows - begin;
    const int count = static_cast<int>(left < kTile ? left : kTile);
    const Float before = V::load(running.highest + begin, count);
    const Float after = V::load(next.highest + begin, count);
    const Float most = V::max(before, after);
    const Float below = V::mul(most, V::set(-1.0F));
    const Float keep = exponential<V>(V::add(before, below));
    const Float take = exponential<V>(V::add(after, below));
    const Float sums = V::fma(V::load(running.sums + begin, count), keep,
                              V::mul(V::load(next.sums + begin, count), take));
    V::store(running.highest + begin, most, count);
    V::store(running.sums + begin, sums, count);
    V::store(old_factors, keep);
    V::store(new_factors, take);
    for (int64_t i = 0; i < count; ++i) {
      float* const old_values = running.values + (begin + i) * size;
      const float* const new_values = next.values + (begin + i) * size;
      const Float old_factor = V::set(old_factors[i]);
      const Float new_factor = V::set(new_factors[i]);
      for (int64_t d = 0; d < size; d += kTile) {
        const Float taken = V::mul(V::load(new_values + d), new_factor);
        V::store(old_values + d, V::fma(V::load(old_values + d), old_factor, taken));
      }
    }
  }
}

}  // namespace
}  // namespace nanoaccel
