// Products of rows in f32 with tiles of weights.
#pragma once

#include "linear/finish.h"
#include "linear/float/formats.h"
#include "linear/float/kernels.h"
#include "linear/norm.h"
#include "low_rank/expand.h"

namespace nanoaccel {
namespace {

constexpr int64_t kDepth = 256;         // values of k whose weights of a unit stay in the cache
constexpr int64_t kRowsTogether = 128;  // rows that share them
constexpr int kAhead = 2048;            // bytes of weights that are asked for ahead

struct Totals {  // of a row
  float tile[kUnitTiles][kTile];
};

// Adds the products of the M rows of a block with T tiles of a unit, from the tile ``first`` on.
//
// Args: x of the block, [k][row]; totals of its first row.
template <class V, class W, int M, int T>
__attribute__((noinline)) void add_products(const FloatView& w, const float* x, int64_t unit,
                                            int first, Range ks, Totals* totals) {
  constexpr int64_t kStepBytes = W::kWordBytes * kUnitTiles;
  typename V::Float sums[T][M];
#pragma GCC unroll 2
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) sums[t][m] = V::load(totals[m].tile[first + t]);
  }
  const uint8_t* p = w.values + (unit * w.padded + ks.begin) / W::kWordStep * kStepBytes;
  p += first * W::kWordBytes;
  x += ks.begin * M;
  for (int64_t k = ks.begin; k < ks.end;) {
    const int64_t left = w.group - k % w.group;
    const int64_t end = k + left < ks.end ? k + left : ks.end;
    typename W::Group groups[T];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) read_group<V>(w, unit * kUnitTiles + first + t, k, &groups[t]);
#pragma GCC unroll 4
    for (; k < end; k += W::kWordStep, p += kStepBytes) {
      __builtin_prefetch(p + kAhead);
      if (T * W::kWordBytes > kTileBytes) __builtin_prefetch(p + kAhead + kTileBytes);
      // One for each tile, made in place.
      W words[2] = {W(p), W(p + (T - 1) * W::kWordBytes)};
#pragma GCC unroll 8
      for (int j = 0; j < W::kWordStep; ++j, x += M) {
        typename V::Float weights[T];
#pragma GCC unroll 2
        for (int t = 0; t < T; ++t) weights[t] = words[t].next(groups[t]);
#pragma GCC unroll 8
        for (int m = 0; m < M; ++m) {
          const typename V::Float number = V::set(x[m]);
#pragma GCC unroll 2
          for (int t = 0; t < T; ++t) sums[t][m] = V::fma(weights[t], number, sums[t][m]);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int t = 0; t < T; ++t) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) V::store(totals[m].tile[first + t], sums[t][m]);
  }
}

template <class V, class W, int M>
void add_unit(const FloatView& w, const float* x, int64_t unit, Range ks, Totals* totals) {
  constexpr int kTogether = V::tiles(M);
  for (int t = 0; t < kUnitTiles; t += kTogether) {
    add_products<V, W, M, kTogether>(w, x, unit, t, ks, totals);
  }
}

// A function for the rows of a block, which are at most those that a path multiplies together.
template <class V, class W>
auto unit_of_rows(int64_t rows) {
  using Function = void (*)(const FloatView&, const float*, int64_t, Range, Totals*);
  constexpr bool kEight = V::kRows == 8;
  constexpr Function kFunctions[] = {
      add_unit<V, W, 1>,
      add_unit<V, W, 2>,
      add_unit<V, W, 3>,
      add_unit<V, W, 4>,
      add_unit < V,
      W,
      kEight ? 5 : 4 >,
      add_unit < V,
      W,
      kEight ? 6 : 4 >
      , add_unit < V, W, kEight ? 7 : 4 >, add_unit<V, W, V::kRows>,
  };
  return kFunctions[rows - 1];
}

template <class V, class W>
void multiply_floats(const FloatView& w, const FloatRows& x, const OutputView& out, Range rows,
                     Range units) {
  alignas(kTileBytes) Totals totals[kRowsTogether];
  for (int64_t begin = rows.begin; begin < rows.end; begin += kRowsTogether) {
    const int64_t end = begin + kRowsTogether < rows.end ? begin + kRowsTogether : rows.end;
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      if (out.updates != nullptr) prefetch_updates(out.updates + begin, end - begin, unit);
      for (int64_t m = 0; m < end - begin; ++m) totals[m] = {};
      for (int64_t k = 0; k < w.padded; k += kDepth) {
        const Range ks = {k, k + kDepth < w.padded ? k + kDepth : w.padded};
        for (int64_t row = begin; row < end; row += V::kRows) {
          const auto add = unit_of_rows<V, W>(block_rows(x.rows, row, V::kRows));
          add(w, x.x + row * x.padded, unit, ks, totals + (row - begin));
        }
      }
      if (out.updates != nullptr) {
        expand_updates<V>(out.updates + begin, end - begin, unit,
                          {totals[0].tile[0], kUnitTiles * kTile, kTile});
      }
      for (int64_t m = begin; m < end; ++m) {
        const Totals& total = totals[m - begin];
        finish<V>(out, m, unit, V::load(total.tile[0]), V::load(total.tile[1]));
      }
    }
  }
}

template <class V>
void multiply_floats(const FloatView& w, const FloatRows& x, const OutputView& out, Range rows,
                     Range units) {
  switch (w.format) {
    case Format::kFloat32:
      return multiply_floats<V, Float32<V>>(w, x, out, rows, units);
    case Format::kFloat16:
      return multiply_floats<V, Float16<V>>(w, x, out, rows, units);
    case Format::kBfloat16:
      return multiply_floats<V, Bfloat16<V>>(w, x, out, rows, units);
    case Format::kNibbles:
      return multiply_floats<V, Nibbles<V>>(w, x, out, rows, units);
    case Format::kBytes:
      return multiply_floats<V, Bytes<V>>(w, x, out, rows, units);
  }
}

template <class V>
void prepare_rows(const FloatView& w, const NormView& norm, const float* x, const FloatRows& out,
                  Range rows) {
  for (int64_t m = rows.begin; m < rows.end; ++m) {
    const Row<V> row = normed_row<V>(x + m * w.inputs, w.inputs, norm);
    const int64_t begin = m / V::kRows * V::kRows;
    const int64_t together = block_rows(out.rows, begin, V::kRows);
    float* to = out.x + begin * out.padded + (m - begin);
    for (int64_t k = 0; k < out.padded; k += kTile) {
      float numbers[kTile];
      V::store(numbers, row.at(k));
      const int64_t count = out.padded - k < kTile ? out.padded - k : kTile;
      for (int64_t i = 0; i < count; ++i, to += together) *to = numbers[i];
    }
  }
}

}  // namespace
}  // namespace nanoaccel
