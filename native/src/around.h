// A call of a linear from what C hands over.
#pragma once

#include "exports.h"
#include "linear/linear.h"

namespace nanoaccel {

inline LinearCall call_of(const NanoaccelAround& around, const float* x, int64_t rows, float* y) {
  LinearCall call = {};
  call.x = x;
  call.y = y;
  call.residual = around.residual;
  call.rows = rows;
  call.norm = {around.norm, around.epsilon, around.norm_bias, around.centered != 0};
  call.activation = static_cast<Activation>(around.activation);
  return call;
}

}  // namespace nanoaccel
