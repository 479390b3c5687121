// Products of rows of activations with tiles of weights.
#pragma once

#include "linear/kernels.h"
#include "linear/silu.h"

namespace nanoaccel {
namespace {

constexpr int64_t kRowBlockBytes = 384 << 10;  // of activations that stay in the second-level cache
constexpr int kPrefetchBytes = 2048;

// The sums of M rows over a group, less what the zero points add.
template <class V, int M, int Bits>
inline void group_products(const uint8_t* codes, const int8_t* const (&q)[M], int group,
                           typename V::Int (&sums)[M]) {
  constexpr int kStep = Bits == 4 ? 8 : 4;
  for (int k = 0; k < group; k += kStep, codes += 64) {
    if (M <= 4) __builtin_prefetch(codes + kPrefetchBytes);
    const typename V::Codes loaded = V::load_codes(codes);
    if (Bits == 4) {
      const typename V::Codes low = V::low(loaded);
      const typename V::Codes high = V::high(loaded);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[m] = V::dot_nibbles(sums[m], low, high, q[m] + k);
    } else {
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[m] = V::dot_bytes(sums[m], loaded, q[m] + k);
    }
  }
}

template <class V>
inline typename V::Float load_scales(const LinearView& w, int64_t block) {
  return w.half ? V::load_half(static_cast<const uint16_t*>(w.scales) + block * kTile)
                : V::load(static_cast<const float*>(w.scales) + block * kTile);
}

// M rows times one tile.
template <class V, int M, int Bits>
inline void tile_product(const LinearView& w, const ActivationView& a, int64_t row, int64_t tile,
                         typename V::Float (&totals)[M]) {
  using Int = typename V::Int;
  using Float = typename V::Float;
  constexpr int kOffset = Bits == 8 ? V::kByteOffset : 0;
  const Int middle = V::set_int((1 << (Bits - 1)) - kOffset);
  const int64_t group_bytes = static_cast<int64_t>(w.group) * kTile * Bits / 8;
  const int8_t* q[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    q[m] = a.codes + (row + m) * a.stride;
    totals[m] = V::set(0.0F);
  }
  for (int64_t g = 0; g < w.groups; ++g) {
    const int64_t block = tile * w.groups + g;
    const Int zero = w.zeros == nullptr
                         ? middle
                         : V::add_int(V::load_bytes(w.zeros + block * kTile), V::set_int(-kOffset));
    Int sums[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m)
      sums[m] = V::mul_low(zero, a.negated_sums + (row + m) * a.groups + g);
    group_products<V, M, Bits>(w.codes + block * group_bytes, q, w.group, sums);
    const Float scale = load_scales<V>(w, block);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const Float both = V::mul(scale, V::set(a.scales[(row + m) * a.groups + g]));
      totals[m] = V::fma(V::to_float(sums[m]), both, totals[m]);
      q[m] += w.group;
    }
  }
}

template <class V>
inline typename V::Float with_bias(const OutputView& out, int64_t tile, typename V::Float v) {
  return out.bias == nullptr ? v : V::add(v, V::load(out.bias + tile * kTile));
}

// Adds the residual and writes up to 16 outputs.
template <class V>
inline void write(const OutputView& out, int64_t row, int64_t column, typename V::Float v) {
  const int64_t at = row * out.width + column;
  const int64_t left = out.width - column;
  if (left >= kTile) {
    if (out.residual != nullptr) v = V::add(v, V::load(out.residual + at));
    V::store(out.y + at, v);
    return;
  }
  const int count = static_cast<int>(left);
  if (out.residual != nullptr) v = V::add(v, V::load(out.residual + at, count));
  V::store(out.y + at, v, count);
}

template <class V, int M, int Bits>
void unit_product(const LinearView& w, const ActivationView& a, const OutputView& out, int64_t row,
                  int64_t unit) {
  typename V::Float first[M];
  const int64_t tile = out.swiglu ? 2 * unit : unit;
  tile_product<V, M, Bits>(w, a, row, tile, first);
  if (!out.swiglu) {
    for (int m = 0; m < M; ++m) {
      write<V>(out, row + m, unit * kTile, with_bias<V>(out, tile, first[m]));
    }
    return;
  }
  typename V::Float second[M];
  tile_product<V, M, Bits>(w, a, row, tile + 1, second);
  for (int m = 0; m < M; ++m) {
    const typename V::Float gate = silu<V>(with_bias<V>(out, tile, first[m]));
    write<V>(out, row + m, unit * kTile, V::mul(gate, with_bias<V>(out, tile + 1, second[m])));
  }
}

// Up to V::kRows rows times one unit.
template <class V, int Bits>
void rows_product(const LinearView& w, const ActivationView& a, const OutputView& out, int64_t row,
                  int64_t rows, int64_t unit) {
  switch (rows) {
    case 1:
      return unit_product<V, 1, Bits>(w, a, out, row, unit);
    case 2:
      return unit_product<V, 2, Bits>(w, a, out, row, unit);
    case 3:
      return unit_product<V, 3, Bits>(w, a, out, row, unit);
    case 4:
      return unit_product<V, 4, Bits>(w, a, out, row, unit);
    default:
      break;
  }
  if constexpr (V::kRows == 8) {
    switch (rows) {
      case 5:
        return unit_product<V, 5, Bits>(w, a, out, row, unit);
      case 6:
        return unit_product<V, 6, Bits>(w, a, out, row, unit);
      case 7:
        return unit_product<V, 7, Bits>(w, a, out, row, unit);
      default:
        return unit_product<V, 8, Bits>(w, a, out, row, unit);
    }
  }
}

template <class V>
void multiply(const LinearView& w, const ActivationView& a, const OutputView& out, Range rows,
              Range units) {
  const auto product = w.bits == 4 ? rows_product<V, 4> : rows_product<V, 8>;
  int64_t block = kRowBlockBytes / a.stride / V::kRows * V::kRows;
  if (block < V::kRows) block = V::kRows;
  for (int64_t begin = rows.begin; begin < rows.end; begin += block) {
    const int64_t end = begin + block < rows.end ? begin + block : rows.end;
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      for (int64_t row = begin; row < end; row += V::kRows) {
        const int64_t left = end - row;
        product(w, a, out, row, left < V::kRows ? left : V::kRows, unit);
      }
    }
  }
}

}  // namespace
}  // namespace nanoaccel
