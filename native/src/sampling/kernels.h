// What drawing a token does to all numbers of a row, on a path.
#pragma once

#include <cstdint>

namespace nanoaccel {

constexpr int64_t kWeighed = 256;  // numbers of a row whose weights are summed up together

struct SamplingKernels {
  // weights[i] = e^((row[i] - peak) * scale), 0 where that is below e^-87, and of each kWeighed of
  // them the sum and the largest. The same bits on every path.
  void (*weigh)(const float* row, int64_t width, float peak, float scale, float* weights,
                double* sums, float* tops);
};

}  // namespace nanoaccel
