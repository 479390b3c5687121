// Rows of the input as a product reads them: as they are, or after a norm.
#pragma once

#include "linear/kernels.h"

namespace nanoaccel {
namespace {

template <class V>
typename V::Float load_up_to(const float* p, int64_t count) {
  return count >= kTile ? V::load(p) : V::load(p, count > 0 ? static_cast<int>(count) : 0);
}

template <class V>
void store_up_to(float* p, int64_t count, typename V::Float v) {
  if (count >= kTile) {
    V::store(p, v);
  } else {
    V::store(p, v, static_cast<int>(count));
  }
}

// A row of the input, after its norm; zeros behind its end.
template <class V>
struct Row {
  const float* x;
  int64_t size;
  NormView norm;
  float mean;     // that is subtracted
  float inverse;  // of what its numbers deviate by

  typename V::Float at(int64_t k) const {
    typename V::Float v = load_up_to<V>(x + k, size - k);
    if (norm.weight == nullptr) return v;
    if (norm.centered) v = V::add(v, V::set(-mean));
    v = V::mul(V::mul(v, V::set(inverse)), load_up_to<V>(norm.weight + k, size - k));
    return norm.bias == nullptr ? v : V::add(v, load_up_to<V>(norm.bias + k, size - k));
  }
};

template <class V>
float mean_of(const float* x, int64_t size) {
  typename V::Float sums = V::set(0.0F);
  for (int64_t k = 0; k < size; k += kTile) sums = V::add(sums, load_up_to<V>(x + k, size - k));
  return V::sum_of(sums) / static_cast<float>(size);
}

template <class V>
float mean_square(const float* x, int64_t size, float mean) {
  typename V::Float squares = V::set(0.0F);
  for (int64_t k = 0; k < size; k += kTile) {
    typename V::Float v = V::add(load_up_to<V>(x + k, size - k), V::set(-mean));
    if (size - k < kTile) v = V::within(v, 0, static_cast<int>(size - k), 0.0F);
    squares = V::fma(v, v, squares);
  }
  return V::sum_of(squares) / static_cast<float>(size);
}

template <class V>
Row<V> normed_row(const float* x, int64_t size, const NormView& norm) {
  Row<V> row = {x, size, norm, 0.0F, 1.0F};
  if (norm.weight == nullptr) return row;
  if (norm.centered) row.mean = mean_of<V>(x, size);
  const float square = mean_square<V>(x, size, row.mean);
  row.inverse = 1.0F / __builtin_sqrtf(square + norm.epsilon);
  return row;
}

}  // namespace
}  // namespace nanoaccel
