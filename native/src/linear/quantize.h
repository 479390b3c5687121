// Activations to int8, by token and group, after an optional norm.
#pragma once

#include "linear/kernels.h"
#include "linear/norm.h"

namespace nanoaccel {
namespace {

// Below it the inverse scale would overflow; such a group is taken as zeros.
constexpr float kLeastMaximum = 1e-35F;

template <class V>
float max_lane(typename V::Float v) {
  float lanes[kTile];
  V::store(lanes, v);
  float most = 0.0F;
  for (float lane : lanes) most = lane > most ? lane : most;
  return most;
}

// One row into its place among the rows of its block.
template <class V>
void quantize_row(const LinearView& w, const Row<V>& row, const ActivationView& out, int64_t begin,
                  int64_t place, int64_t rows) {
  int8_t* codes = out.codes + begin * out.padded + place * kStep;
  for (int64_t g = 0; g < w.groups; ++g) {
    const int64_t first = g * w.group;
    typename V::Float most = V::set(0.0F);
    for (int64_t k = first; k < first + w.group; k += kTile) most = V::max(most, V::abs(row.at(k)));
    const float maximum = max_lane<V>(most);
    const bool some = maximum > kLeastMaximum;
    const typename V::Float inverse = V::set(some ? 127.0F / maximum : 0.0F);
    typename V::Int sum = V::set_int(0);
    for (int64_t k = first; k < first + w.group; k += kTile, codes += 2 * kStep * rows) {
      const typename V::Int q = V::round(V::mul(row.at(k), inverse));
      sum = V::add_int(sum, q);
      int8_t both[2 * kStep];
      V::store_bytes(both, q);
      __builtin_memcpy(codes, both, kStep);
      __builtin_memcpy(codes + kStep * rows, both + kStep, kStep);
    }
    const int64_t at = begin * w.groups + g * rows + place;
    out.scales[at] = some ? maximum / 127.0F : 0.0F;
    out.negated_sums[at] = (0U - V::sum(sum)) & 0xffffU;
  }
}

template <class V>
void quantize(const LinearView& w, const NormView& norm, const float* x, const ActivationView& out,
              Range rows) {
  for (int64_t m = rows.begin; m < rows.end; ++m) {
    const Row<V> row = normed_row<V>(x + m * w.inputs, w.inputs, norm);
    const int64_t begin = m / V::kRows * V::kRows;
    quantize_row<V>(w, row, out, begin, m - begin, block_rows(out.rows, begin, V::kRows));
  }
}

}  // namespace
}  // namespace nanoaccel
