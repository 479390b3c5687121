// What stands between the two linears of an expert, and behind the second one.
#pragma once

#include "experts/kernels.h"
#include "linear/activation.h"
#include "linear/quantize.h"

namespace nanoaccel {
namespace {

// The limits stand first: a NaN beside them stays one.
template <class V>
void gate(const GatedUnit& unit, const float* gate_up, int64_t inner, float* out) {
  using Float = typename V::Float;
  const Float limit = V::set(unit.limit);
  const Float least = V::set(-unit.limit);
  const Float negated_alpha = V::set(-unit.alpha);
  const bool silu = unit.activation == Activation::kSilu;
  for (int64_t i = 0; i < inner; i += kTile) {
    const int64_t left = inner - i;
    const Float g = V::min(limit, load_up_to<V>(gate_up + i, left));
    const Float activated =
        silu ? times_sigmoid<V>(g, V::mul(g, negated_alpha)) : activate<V>(unit.activation, g);
    if (!unit.gated) {
      store_up_to<V>(out + i, left, activated);
      continue;
    }
    const Float u = V::max(least, V::min(limit, load_up_to<V>(gate_up + inner + i, left)));
    store_up_to<V>(out + i, left, V::mul(activated, V::add(u, V::set(unit.beta))));
  }
}

template <class V>
void mix(const float* parts, const int64_t* places, const float* shares, int64_t top_k,
         int64_t size, float* y) {
  for (int64_t i = 0; i < size; i += kTile) {
    const int64_t left = size - i;
    typename V::Float sum = V::set(0.0F);
    for (int64_t slot = 0; slot < top_k; ++slot) {
      const auto part = load_up_to<V>(parts + places[slot] * size + i, left);
      sum = V::fma(part, V::set(shares[slot]), sum);
    }
    store_up_to<V>(y + i, left, sum);
  }
}

}  // namespace
}  // namespace nanoaccel
