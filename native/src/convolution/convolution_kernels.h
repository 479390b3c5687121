// The kernels of causal convolutions for one kind of vector.
#pragma once

#include <cstring>

#include "convolution/kernels.h"
#include "linear/norm.h"
#include "linear/silu.h"

namespace nanoaccel {
namespace {

// The input of a token of a sequence: of the pass, or of the state when the token is before it.
inline const float* input_of(const ConvolutionLayer& layer, const ConvolutionPass& pass,
                             int64_t sequence, int64_t token) {
  if (token >= 0) return pass.x + (pass.states.begins[sequence] + token) * layer.channels;
  return read_state(pass.states, sequence) + (layer.taps - 1 + token) * layer.channels;
}

template <class V>
void convolve_token(const ConvolutionLayer& layer, const ConvolutionPass& pass, int64_t sequence,
                    int64_t token) {
  const int64_t channels = layer.channels;
  float* const y = pass.y + (pass.states.begins[sequence] + token) * channels;
  const float* rows[kMostTaps];
  for (int64_t j = 0; j < layer.taps; ++j) {
    rows[j] = input_of(layer, pass, sequence, token - layer.taps + 1 + j);
  }
  for (int64_t c = 0; c < channels; c += kTile) {
    const int64_t left = channels - c;
    typename V::Float sum = V::set(0.0F);
    for (int64_t j = 0; j < layer.taps; ++j) {
      const float* const weight = layer.weight + j * channels + c;
      sum = V::fma(load_up_to<V>(weight, left), load_up_to<V>(rows[j] + c, left), sum);
    }
    if (layer.bias != nullptr) sum = V::add(sum, load_up_to<V>(layer.bias + c, left));
    if (layer.silu) sum = silu<V>(sum);
    store_up_to<V>(y + c, left, sum);
  }
}

template <class V>
void convolve(const ConvolutionLayer& layer, const ConvolutionPass& pass, int64_t sequence,
              int64_t first, int64_t last) {
  for (int64_t token = first; token < last; ++token) {
    convolve_token<V>(layer, pass, sequence, token);
    float* const kept = kept_state(pass.states, sequence, token);
    if (kept == nullptr) continue;
    for (int64_t i = 0; i < layer.taps - 1; ++i) {
      std::memcpy(kept + i * layer.channels,
                  input_of(layer, pass, sequence, token - layer.taps + 2 + i),
                  static_cast<size_t>(layer.channels) * sizeof(float));
    }
  }
}

template <class V>
constexpr ConvolutionKernels convolution_kernels() {
  return {convolve<V>};
}

}  // namespace
}  // namespace nanoaccel
