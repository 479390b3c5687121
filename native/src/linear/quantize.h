// Activations to int8, by token and group, after an optional norm.
#pragma once

#include "linear/kernels.h"
#include "linear/norm.h"

namespace nanoaccel {
namespace {

// Below it the inverse scale would overflow; such a group is taken as zeros.
constexpr float kLeastMaximum = 1e-35F;

// What zero points are multiplied with; where there are none, the product itself.
template <class V>
uint32_t start_of(const LinearView& w, uint32_t sum) {
  if (w.zeros != nullptr) return (0U - sum) & 0xffffU;
  const int offset = w.coding == Coding::kBytes ? V::kByteOffset : 0;
  return (0U - sum) * static_cast<uint32_t>(middle_of(w.coding) - offset);
}

// Up to 16 groups of a row, from the group ``first`` on, into their place among the rows of a
// block.
template <class V>
void quantize_groups(const LinearView& w, const Row<V>& row, const ActivationView& out, int64_t at,
                     int64_t rows, Range groups, int8_t* codes) {
  float scales[kTile] = {};
  float inverses[kTile];
  for (int64_t g = groups.begin; g < groups.end; ++g) {
    typename V::Float most = V::set(0.0F);
    for (int64_t k = g * w.group; k < (g + 1) * w.group; k += kTile) {
      most = V::max(most, V::abs(row.at(k)));
    }
    const float maximum = V::max_of(most);
    scales[g - groups.begin] = maximum > kLeastMaximum ? maximum : 0.0F;
  }
  const typename V::Float maxima = V::load(scales);
  V::store(inverses, V::div(V::set(127.0F), maxima));
  V::store(scales, V::div(maxima, V::set(127.0F)));
  for (int64_t g = groups.begin; g < groups.end; ++g, at += rows) {
    const float scale = scales[g - groups.begin];
    const typename V::Float inverse = V::set(scale == 0.0F ? 0.0F : inverses[g - groups.begin]);
    typename V::Int sum = V::set_int(0);
    for (int64_t k = g * w.group; k < (g + 1) * w.group; k += kTile, codes += 2 * kStep * rows) {
      // What is no number becomes -127, and behind it a number may be beyond the maximum that was
      // found: -128 would not fit the products of AVX2.
      const typename V::Float bounded = V::max(V::mul(row.at(k), inverse), V::set(-127.0F));
      const typename V::Int q = V::round(V::min(bounded, V::set(127.0F)));
      sum = V::add_int(sum, q);
      int8_t both[2 * kStep];
      V::store_bytes(both, q);
      __builtin_memcpy(codes, both, kStep);
      __builtin_memcpy(codes + kStep * rows, both + kStep, kStep);
    }
    out.scales[at] = scale;
    out.starts[at] = start_of<V>(w, V::sum(sum));
  }
}

template <class V>
void quantize(const LinearView& w, const NormView& norm, const float* x, const ActivationView& out,
              Range rows) {
  for (int64_t m = rows.begin; m < rows.end; ++m) {
    const Row<V> row = normed_row<V>(x + m * w.inputs, w.inputs, norm);
    const int64_t begin = m / V::kRows * V::kRows;
    const int64_t count = block_rows(out.rows, begin, V::kRows);
    const int64_t place = m - begin;
    for (int64_t g = 0; g < w.groups; g += kTile) {
      const Range groups = {g, g + block_rows(w.groups, g, kTile)};
      quantize_groups<V>(w, row, out, begin * w.groups + g * count + place, count, groups,
                         out.codes + begin * out.padded + (g * w.group * count + place * kStep));
    }
  }
}

}  // namespace
}  // namespace nanoaccel
