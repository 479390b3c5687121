// Products of rows of activations with tiles of weights.
#pragma once

#include "linear/finish.h"
#include "linear/kernels.h"
#include "linear/pairs.h"

namespace nanoaccel {
namespace {

constexpr int64_t kRowBlockBytes = 384 << 10;  // of activations that stay in the second-level cache
constexpr int kPrefetchBytes = 2048;

// Adds the products of M rows and T tiles over eight values of k to their sums.
template <class V, int M, int Bits, int T>
inline void add_step(const uint8_t* codes, const int8_t* q, typename V::Int (&sums)[T][M]) {
#pragma GCC unroll 2
  for (int half = 0; half < (Bits == 4 ? 1 : 2); ++half, codes += kUnitTiles * kTileBytes) {
    typename V::Codes low[T];
    typename V::Codes high[T];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      __builtin_prefetch(codes + t * kTileBytes + kPrefetchBytes);
      low[t] = V::load_codes(codes + t * kTileBytes);
      if (Bits == 4) {
        high[t] = V::high(low[t]);
        low[t] = V::low(low[t]);
      }
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        sums[t][m] = Bits == 4 ? V::dot_nibbles(sums[t][m], low[t], high[t], q + m * kStep)
                               : V::dot_bytes(sums[t][m], low[t], q + m * kStep + half * 4);
      }
    }
  }
}

template <class V>
inline typename V::Float load_scales(const LinearView& w, int64_t block) {
  return w.half ? V::load_half(static_cast<const uint16_t*>(w.scales) + block * kTile)
                : V::load(static_cast<const float*>(w.scales) + block * kTile);
}

// The zero points of a block, as the codes of its path are offset.
template <class V, int Bits>
inline typename V::Int load_zeros(const LinearView& w, int64_t block) {
  constexpr int kOffset = Bits == 8 ? V::kByteOffset : 0;
  if (w.zeros == nullptr) return V::set_int((1 << (Bits - 1)) - kOffset);
  return V::add_int(V::load_bytes(w.zeros + block * kTile), V::set_int(-kOffset));
}

// The M rows of a block times T tiles of a unit, from the tile ``first`` on.
//
// The totals stay in memory, which a call of its own makes sure of: the sums need the registers.
template <class V, int M, int Bits, int T>
__attribute__((noinline)) void tile_products(const LinearView& w, const ActivationView& a,
                                             int64_t row, int64_t unit, int first,
                                             float (*totals)[M][kTile]) {
  constexpr int64_t kStepBytes = kTileBytes * kUnitTiles * Bits / 4;
  const uint8_t* codes = w.codes + unit * a.padded / kStep * kStepBytes + first * kTileBytes;
  const int8_t* q = a.codes + row * a.padded;
  const float* scales = a.scales + row * a.groups;
  const uint32_t* negated_sums = a.negated_sums + row * a.groups;
  for (int t = 0; t < T; ++t) {
    for (int m = 0; m < M; ++m) V::store(totals[t][m], V::set(0.0F));
  }
  constexpr bool kPaired = V::kPairs && M > 1;
  for (int64_t g = 0; g < w.groups; ++g, scales += M, negated_sums += M) {
    const int64_t block = (unit * w.groups + g) * kUnitTiles + first;
    typename V::Int sums[T][M];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      const typename V::Int zero = load_zeros<V, Bits>(w, block + t);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[t][m] = V::mul_low(zero, negated_sums + m);
    }
    if constexpr (kPaired) join_rows<V>(sums);
    for (int k = 0; k < w.group; k += kStep, codes += kStepBytes, q += M * kStep) {
      if constexpr (kPaired) {
        add_pairs<V, M, Bits>(codes, q, sums);
      } else {
        add_step<V, M, Bits>(codes, q, sums);
      }
    }
    if constexpr (kPaired) split_rows<V>(sums);
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      const typename V::Float scale = load_scales<V>(w, block + t);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        const auto both = V::mul(scale, V::set(scales[m]));
        float* total = totals[t][m];
        V::store(total, V::fma(V::to_float(sums[t][m]), both, V::load(total)));
      }
    }
  }
}

template <class V, int M, int Bits>
void unit_product(const LinearView& w, const ActivationView& a, const OutputView& out, int64_t row,
                  int64_t unit) {
  constexpr int kTogether = V::tiles(M);
  alignas(kTileBytes) float totals[kUnitTiles][M][kTile];
  for (int t = 0; t < kUnitTiles; t += kTogether) {
    tile_products<V, M, Bits, kTogether>(w, a, row, unit, t, totals + t);
  }
  for (int m = 0; m < M; ++m) {
    finish<V>(out, row + m, unit, V::load(totals[0][m]), V::load(totals[1][m]));
  }
}

// The rows of a block times one unit.
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
  int64_t block = kRowBlockBytes / a.padded / V::kRows * V::kRows;
  if (block < V::kRows) block = V::kRows;
  for (int64_t begin = rows.begin; begin < rows.end; begin += block) {
    const int64_t end = begin + block < rows.end ? begin + block : rows.end;
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      for (int64_t row = begin; row < end; row += V::kRows) {
        product(w, a, out, row, block_rows(a.rows, row, V::kRows), unit);
      }
    }
  }
}

}  // namespace
}  // namespace nanoaccel
