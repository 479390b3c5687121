// Which experts a token goes to, and how much each counts.
#pragma once

#include "experts/kernels.h"
#include "linear/quantize.h"
#include "linear/silu.h"

namespace nanoaccel {
namespace {

// A NaN is taken as less than any number.
inline float rank_of(float logit, bool share) {
  if (logit != logit) return -__builtin_inff();
  return share && logit < 0.0F ? -logit : logit;
}

// Keeps the list of the largest sorted; an equal one stays behind those of smaller number.
inline void choose_largest(const float* logits, const RoutingView& routing, int32_t* chosen) {
  int64_t count = 0;
  for (int64_t e = 0; e < routing.experts; ++e) {
    const float rank = rank_of(logits[e], routing.told);
    int64_t place = count;
    while (place > 0 && rank > rank_of(logits[chosen[place - 1]], routing.told)) --place;
    if (place == routing.top_k) continue;
    if (count < routing.top_k) ++count;
    for (int64_t i = count - 1; i > place; --i) chosen[i] = chosen[i - 1];
    chosen[place] = static_cast<int32_t>(e);
  }
}

template <class V>
void choose(const float* logits, const RoutingView& routing, int64_t row) {
  int32_t* chosen = routing.chosen + row * routing.top_k;
  float* shares = routing.shares + row * routing.top_k;
  choose_largest(logits, routing, chosen);
  if (routing.told) {
    for (int64_t i = 0; i < routing.top_k; ++i) shares[i] = logits[chosen[i]];
    return;
  }
  for (int64_t i = 0; i < routing.top_k; ++i) shares[i] = logits[chosen[i]] - logits[chosen[0]];
  typename V::Float total = V::set(0.0F);
  for (int64_t i = 0; i < routing.top_k; i += kTile) {
    const int64_t left = routing.top_k - i;
    const int count = left < kTile ? static_cast<int>(left) : kTile;
    const auto power = V::within(exponential<V>(load_up_to<V>(shares + i, left)), 0, count, 0.0F);
    V::store(shares + i, power, count);
    total = V::add(total, power);
  }
  const float sum = V::sum_of(total);
  for (int64_t i = 0; i < routing.top_k; ++i) shares[i] /= sum;
}

}  // namespace
}  // namespace nanoaccel
