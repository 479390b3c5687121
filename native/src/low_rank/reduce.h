// Hidden numbers of rows.
#pragma once

#include "linear/norm.h"
#include "low_rank/formats.h"
#include "low_rank/kernels.h"

namespace nanoaccel {
namespace {

constexpr int kReduceAhead = 1024;  // bytes that are asked for ahead

template <class V>
inline void store_hidden(const UpdateView& u, int64_t tile, const typename V::Float (&sums)[4],
                         float* hidden) {
  static_assert(kSegments == 4, "they are added in pairs");
  auto total = V::add(V::add(sums[0], sums[1]), V::add(sums[2], sums[3]));
  if (u.scales != nullptr) total = V::mul(total, V::load(u.scales + tile * kTile));
  V::store(hidden + tile * kTile, total);
}

// One row: all segments at a time, so that no sum waits for itself.
template <class V, class F>
void reduce_row(const UpdateView& u, int64_t tile, const typename F::Number* down, const float* x,
                float* hidden) {
  typename V::Float sums[kSegments];
  for (auto& sum : sums) sum = V::set(0.0F);
  for (int64_t k = 0; k < u.segment; ++k, down += kSegments * kTile) {
    __builtin_prefetch(reinterpret_cast<const char*>(down) + kReduceAhead);
#pragma GCC unroll 4
    for (int s = 0; s < kSegments; ++s) {
      sums[s] = V::fma(F::load(down + s * kTile), V::set(x[s * u.segment + k]), sums[s]);
    }
  }
  store_hidden<V>(u, tile, sums, hidden);
}

// As many rows as a path multiplies together: a segment after the other.
template <class V, class F>
void reduce_rows(const UpdateView& u, int64_t tile, const typename F::Number* down,
                 const float* const* x, float* const* hidden) {
  constexpr int kRows = V::kRows;
  float parts[kSegments][kRows][kTile];
  for (int s = 0; s < kSegments; ++s) {
    const typename F::Number* p = down + s * kTile;
    typename V::Float sums[kRows];
    for (auto& sum : sums) sum = V::set(0.0F);
    for (int64_t k = 0; k < u.segment; ++k, p += kSegments * kTile) {
      const typename V::Float numbers = F::load(p);
#pragma GCC unroll 8
      for (int m = 0; m < kRows; ++m) {
        sums[m] = V::fma(numbers, V::set(x[m][s * u.segment + k]), sums[m]);
      }
    }
    for (int m = 0; m < kRows; ++m) V::store(parts[s][m], sums[m]);
  }
  for (int m = 0; m < kRows; ++m) {
    typename V::Float sums[kSegments];
    for (int s = 0; s < kSegments; ++s) sums[s] = V::load(parts[s][m]);
    store_hidden<V>(u, tile, sums, hidden[m]);
  }
}

template <class V, class F>
void reduce_all(const UpdateView& u, int64_t tile, const float* const* x, float* const* hidden,
                int64_t rows) {
  const auto* down = static_cast<const typename F::Number*>(u.down) + tile * u.padded() * kTile;
  int64_t m = 0;
  for (; m + V::kRows <= rows; m += V::kRows) reduce_rows<V, F>(u, tile, down, x + m, hidden + m);
  for (; m < rows; ++m) reduce_row<V, F>(u, tile, down, x[m], hidden[m]);
}

template <class V>
void reduce(const UpdateView& u, int64_t tile, const float* const* x, float* const* hidden,
            int64_t rows) {
  if (u.format == UpdateFormat::kInt8)
    return reduce_all<V, UpdateInt8<V>>(u, tile, x, hidden, rows);
  reduce_all<V, UpdateFloat32<V>>(u, tile, x, hidden, rows);
}

template <class V>
void prepare_updated(const NormView& norm, const float* x, int64_t inputs, int64_t padded,
                     float* out) {
  const Row<V> row = normed_row<V>(x, inputs, norm);
  for (int64_t k = 0; k < padded; k += kTile) V::store(out + k, row.at(k));
}

template <class V>
constexpr LowRankKernels low_rank_kernels() {
  return {prepare_updated<V>, reduce<V>};
}

}  // namespace
}  // namespace nanoaccel
