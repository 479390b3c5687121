#pragma once

#include "linear/silu.h"
#include "sampling/kernels.h"

namespace nanoaccel {
namespace {

constexpr int64_t kWeighedLanes = 16;
constexpr float kLeastPower = -87.0F;  // of which exponential() gives e^x

template <class V>
typename V::Float weight_of(typename V::Float logit, float peak, float scale) {
  using Float = typename V::Float;
  const Float power = V::mul(V::add(logit, V::set(-peak)), V::set(scale));
  return V::where_less(power, V::set(kLeastPower), V::set(0.0F), exponential<V>(power));
}

template <class V>
void weigh(const float* row, int64_t width, float peak, float scale, float* weights, double* sums,
           float* tops) {
  for (int64_t begin = 0; begin < width; begin += kWeighed) {
    const int64_t end = begin + kWeighed < width ? begin + kWeighed : width;
    typename V::Float sum = V::set(0.0F);
    typename V::Float top = V::set(0.0F);
    int64_t i = begin;
    for (; i + kWeighedLanes <= end; i += kWeighedLanes) {
      const typename V::Float weight = weight_of<V>(V::load(row + i), peak, scale);
      V::store(weights + i, weight);
      sum = V::add(sum, weight);
      top = V::max(top, weight);
    }
    if (i < end) {
      const auto left = static_cast<int>(end - i);
      const typename V::Float some = weight_of<V>(V::load(row + i, left), peak, scale);
      const typename V::Float weight = V::within(some, 0, left, 0.0F);
      V::store(weights + i, weight, left);
      sum = V::add(sum, weight);
      top = V::max(top, weight);
    }
    float lanes[kWeighedLanes];
    V::store(lanes, sum);
    double total = 0;
    for (float lane : lanes) total += static_cast<double>(lane);
    sums[begin / kWeighed] = total;
    tops[begin / kWeighed] = V::max_of(top);
  }
}

template <class V>
constexpr SamplingKernels sampling_kernels() {
  return {weigh<V>};
}

}  // namespace
}  // namespace nanoaccel
