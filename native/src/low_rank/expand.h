// What updates add to the products of a unit.
#pragma once

#include <cstddef>

#include "low_rank/formats.h"
#include "low_rank/kernels.h"

namespace nanoaccel {
namespace {

// Where the totals of some rows are: those of a row, and of a tile, so many numbers apart.
struct TotalsView {
  float* totals;
  ptrdiff_t row;
  ptrdiff_t tile;
};

// M rows that have one update.
template <class V, class F, int M>
void expand_piece(const typename F::Number* up, const UpdatePiece& piece, const RowUpdate* rows,
                  float* totals, ptrdiff_t apart) {
  typename V::Float sums[M];
  const float* hidden[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
    sums[m] = V::load(totals + m * apart);
    hidden[m] = rows[m].hidden + piece.hidden_tile * kTile;
  }
  for (int r = 0; r < piece.rank; ++r, up += kTile) {
    const typename V::Float numbers = F::load(up);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) sums[m] = V::fma(numbers, V::set(hidden[m][r]), sums[m]);
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) V::store(totals + m * apart, sums[m]);
}

template <class V, class F, int M = V::kRows>
auto piece_of_rows(int64_t rows) {
  if constexpr (M > 1) {
    if (rows < M) return piece_of_rows<V, F, M - 1>(rows);
  }
  return expand_piece<V, F, M>;
}

// Rows that have one update, at most as many as a path multiplies together.
template <class V, class F>
void expand_rows(const UpdateView& u, const RowUpdate* rows, int64_t count, int64_t unit,
                 const TotalsView& to) {
  const auto expand = piece_of_rows<V, F>(count);
  for (int t = 0; t < kUnitTiles; ++t) {
    const uint32_t* const ends = u.pieces_begin + unit * kUnitTiles + t;
    for (uint32_t i = ends[0]; i < ends[1]; ++i) {
      const auto* up = static_cast<const typename F::Number*>(u.up);
      expand(up + static_cast<size_t>(u.pieces[i].row) * kTile, u.pieces[i], rows,
             to.totals + t * to.tile, to.row);
    }
  }
}

// Adds the updates of some rows to the totals of a unit.
template <class V>
void expand_updates(const RowUpdate* rows, int64_t count, int64_t unit, TotalsView to) {
  while (count > 0) {
    int64_t alike = 1;
    while (alike < count && alike < V::kRows && rows[alike].update == rows[0].update) ++alike;
    if (const UpdateView* u = rows[0].update; u != nullptr) {
      const auto expand = u->format == UpdateFormat::kInt8 ? expand_rows<V, UpdateInt8<V>>
                                                           : expand_rows<V, UpdateFloat32<V>>;
      expand(*u, rows, alike, unit, to);
    }
    rows += alike;
    count -= alike;
    to.totals += alike * to.row;
  }
}

// Asks for what a unit of some rows will read.
inline void prefetch_updates(const RowUpdate* rows, int64_t count, int64_t unit) {
  const UpdateView* last = nullptr;
  for (int64_t m = 0; m < count; ++m) {
    const UpdateView* const u = rows[m].update;
    if (u == nullptr || u == last) continue;
    last = u;
    const uint32_t first = u->pieces_begin[unit * kUnitTiles];
    const uint32_t end = u->pieces_begin[(unit + 1) * kUnitTiles];
    if (first == end) continue;
    const UpdatePiece& final = u->pieces[end - 1];
    const size_t size = u->format == UpdateFormat::kInt8 ? sizeof(int8_t) : sizeof(float);
    const auto* up = static_cast<const char*>(u->up);
    const char* const stop = up + (final.row + size_t{final.rank}) * kTile * size;
    for (up += u->pieces[first].row * size * kTile; up < stop; up += kTileBytes) {
      __builtin_prefetch(up);
    }
  }
}

}  // namespace
}  // namespace nanoaccel
