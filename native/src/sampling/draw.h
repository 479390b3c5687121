// A token drawn from a row of logits: temperature, then top-k, top-p and min-p, each of what the
// one before it left.
#pragma once

#include <cstdint>

#include "sampling/kernels.h"

namespace nanoaccel {

struct DrawSettings {
  float scale;    // one by the temperature
  int64_t top_k;  // 0 keeps all
  double top_p;   // 1 keeps all
  double min_p;   // 0 keeps all
};

// The token that ``uniform`` in [0, 1) selects, by inverting the distribution function over tokens
// in the order of their ids. ``likeliest`` is the index of the largest number of [width], whose
// first NaN it is if there is one. -1 when that is not finite.
int64_t draw(const float* row, int64_t width, int64_t likeliest, const DrawSettings& settings,
             double uniform, const SamplingKernels& kernels);

}  // namespace nanoaccel
