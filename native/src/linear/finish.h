// What is done to the products of a unit before they are written.
#pragma once

#include "linear/activation.h"
#include "linear/kernels.h"

namespace nanoaccel {
namespace {

template <class V>
inline typename V::Float with_bias(const OutputView& out, int64_t tile, typename V::Float v) {
  return out.bias == nullptr ? v : V::add(v, V::load(out.bias + tile * kTile));
}

// Adds the residual and writes up to 16 outputs; none of a tile that is padding.
template <class V>
inline void write(const OutputView& out, int64_t row, int64_t column, typename V::Float v) {
  const int64_t at = row * out.width + column;
  const int64_t left = out.width - column;
  if (left <= 0) return;
  if (left >= kTile) {
    if (out.residual != nullptr) v = V::add(v, V::load(out.residual + at));
    V::store(out.y + at, v);
    return;
  }
  const int count = static_cast<int>(left);
  if (out.residual != nullptr) v = V::add(v, V::load(out.residual + at, count));
  V::store(out.y + at, v, count);
}

// One row of the two tiles of a unit.
template <class V>
void finish(const OutputView& out, int64_t row, int64_t unit, typename V::Float first,
            typename V::Float second) {
  const int64_t tile = unit * kUnitTiles;
  first = activate<V>(out.activation, with_bias<V>(out, tile, first));
  second = with_bias<V>(out, tile + 1, second);
  if (out.gated) return write<V>(out, row, unit * kTile, V::mul(first, second));
  write<V>(out, row, tile * kTile, first);
  write<V>(out, row, (tile + 1) * kTile, activate<V>(out.activation, second));
}

}  // namespace
}  // namespace nanoaccel
