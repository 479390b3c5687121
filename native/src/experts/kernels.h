// A mixture of experts as its kernels see it: what one path computes besides the linears.
//
//   chosen, share = the top_k largest logits of a token, softmax over them
//   y = sum over the chosen, in their order, of share * (down(gated(gate_up(x))))
//   gated(g, u) = g' * sigmoid(alpha * g') * (u' + beta), g' = min(g, limit), u' = u within +-limit
#pragma once

#include <cstdint>

namespace nanoaccel {

struct GatedUnit {
  float alpha;
  float beta;
  float limit;
};

// The experts of a token, by falling logits; those of equal logits by rising number.
struct RoutingView {
  int64_t experts;
  int64_t top_k;
  int32_t* chosen;  // [row][top_k]
  float* shares;    // [row][top_k]
};

struct ExpertKernels {
  // The logits of a token; NaN stands behind all numbers.
  void (*choose)(const float* logits, const RoutingView&, int64_t row);
  // [gate inner][up inner] to [inner].
  void (*gate)(const GatedUnit&, const float* gate_up, int64_t inner, float* out);
  // y[size] = sum over i of shares[i] * parts[places[i] * size], in their order.
  void (*mix)(const float* parts, const int64_t* places, const float* shares, int64_t top_k,
              int64_t size, float* y);
};

}  // namespace nanoaccel
