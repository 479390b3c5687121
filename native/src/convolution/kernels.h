// A causal convolution of each channel, as its kernels see it: a layer, a pass over it, and the
// function of a path.
//
//   y[t][c] = bias[c] + sum over j from 0 to taps - 1 of weight[j][c] * x[t - taps + 1 + j][c]
//
// What stands before the first token is the state: the last taps - 1 inputs, one after the other.
// A sum runs from the earliest token to the latest, so a row depends on what it sees alone.
#pragma once

#include <cstdint>

#include "states/steps.h"

namespace nanoaccel {

constexpr int64_t kMostTaps = 64;

struct ConvolutionLayer {
  int64_t channels;
  int64_t taps;
  const float* weight;  // [taps][channels]
  const float* bias;    // [channels]; nullptr is none
  bool silu;            // whether x * sigmoid(x) follows
};

// T tokens of some sequences, one after the other.
struct ConvolutionPass {
  StateSteps states;
  const float* x;  // [T][channels]
  float* y;        // [T][channels]
};

struct ConvolutionKernels {
  // Tokens first to last - 1 of a sequence, and the states that are kept behind them.
  void (*convolve)(const ConvolutionLayer&, const ConvolutionPass&, int64_t sequence, int64_t first,
                   int64_t last);
};

}  // namespace nanoaccel
