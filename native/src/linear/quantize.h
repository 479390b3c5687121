// Activations to int8, by token and group, after an optional RMSNorm.
#pragma once

#include "linear/kernels.h"

namespace nanoaccel {
namespace {

// Below it the inverse scale would overflow; such a group is taken as zeros.
constexpr float kLeastMaximum = 1e-35F;

// Sums 16 lanes in pairs of halves: one order on every path.
template <class V>
float sum_lanes(typename V::Float v) {
  float lanes[kTile];
  V::store(lanes, v);
  for (int half = kTile / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <class V>
typename V::Float load_up_to(const float* p, int64_t count) {
  return count >= kTile ? V::load(p) : V::load(p, count > 0 ? static_cast<int>(count) : 0);
}

template <class V>
float inverse_rms(const float* x, int64_t size, float epsilon) {
  typename V::Float squares = V::set(0.0F);
  for (int64_t k = 0; k < size; k += kTile) {
    const typename V::Float v = load_up_to<V>(x + k, size - k);
    squares = V::fma(v, v, squares);
  }
  const float mean = sum_lanes<V>(squares) / static_cast<float>(size);
  return 1.0F / __builtin_sqrtf(mean + epsilon);
}

// A row of the input, after its norm.
template <class V>
struct Row {
  const float* x;
  int64_t size;
  const float* weight;  // of the norm; nullptr is none
  float inverse;

  typename V::Float at(int64_t k) const {
    const typename V::Float v = load_up_to<V>(x + k, size - k);
    if (weight == nullptr) return v;
    return V::mul(V::mul(v, V::set(inverse)), load_up_to<V>(weight + k, size - k));
  }
};

// What zero points are multiplied with; where there are none, the product itself.
template <class V>
uint32_t start_of(const LinearView& w, uint32_t sum) {
  if (w.zeros != nullptr) return (0U - sum) & 0xffffU;
  const int offset = w.bits == 8 ? V::kByteOffset : 0;
  return (0U - sum) * static_cast<uint32_t>((1 << (w.bits - 1)) - offset);
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
      const typename V::Int q = V::round(V::mul(row.at(k), inverse));
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
    Row<V> row = {x + m * w.inputs, w.inputs, norm.weight, 1.0F};
    if (norm.weight != nullptr) row.inverse = inverse_rms<V>(row.x, row.size, norm.epsilon);
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
