// A mixture of experts as its kernels see it: what one path computes besides the linears.
//
//   chosen, share = the top_k largest logits of a token, softmax over them; or shares as given
//   y = sum over the chosen, in their order, of share * (down(gated(gate_up(x))))
//   gated(g, u) = activated(g') * (u' + beta), g' = min(g, limit), u' = u within +-limit
//   activated(g) = g * sigmoid(alpha * g), GELU, ReLU or its square
// and without gates, where the first linear gives as many numbers as the second one reads,
//   gated(g) = activated(g')
#pragma once

#include <cstdint>

#include "linear/kernels.h"

namespace nanoaccel {

struct GatedUnit {
  float alpha;  // of SiLU
  float beta;
  float limit;
  Activation activation;  // one that ``is_gate``
  bool gated = true;      // whether there are up projections
};

constexpr bool is_gate(Activation kind) {
  return kind >= Activation::kSilu && kind <= Activation::kSquaredRelu &&
         kind != Activation::kQuickGelu;
}

// The experts of a token, by falling logits; those of equal logits by rising number.
struct RoutingView {
  int64_t experts;
  int64_t top_k;
  int32_t* chosen;  // [row][top_k]
  float* shares;    // [row][top_k]
  bool told;  // whether shares stand in the place of logits, of which the farthest from 0 count
};

struct ExpertKernels {
  // The logits of a token; NaN stands behind all numbers.
  void (*choose)(const float* logits, const RoutingView&, int64_t row);
  // [gate inner][up inner], or [inner] without gates, to [inner].
  void (*gate)(const GatedUnit&, const float* gate_up, int64_t inner, float* out);
  // y[size] = sum over i of shares[i] * parts[places[i] * size], in their order.
  void (*mix)(const float* parts, const int64_t* places, const float* shares, int64_t top_k,
              int64_t size, float* y);
};

}  // namespace nanoaccel
