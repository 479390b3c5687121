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
float max_lane(typename V::Float v) {
  float lanes[kTile];
  V::store(lanes, v);
  float most = 0.0F;
  for (float lane : lanes) most = lane > most ? lane : most;
  return most;
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
      // What is no number becomes -127: -128 would not fit the products of AVX2.
      const typename V::Float scaled = V::max(V::mul(row.at(k), inverse), V::set(-127.0F));
      const typename V::Int q = V::round(scaled);
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
    Row<V> row = {x + m * w.inputs, w.inputs, norm.weight, 1.0F};
    if (norm.weight != nullptr) row.inverse = inverse_rms<V>(row.x, row.size, norm.epsilon);
    const int64_t begin = m / V::kRows * V::kRows;
    quantize_row<V>(w, row, out, begin, m - begin, block_rows(out.rows, begin, V::kRows));
  }
}

}  // namespace
}  // namespace nanoaccel
