// The operator nanoaccel.FloatLinear: Linear with f32 activations and weights of any format.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* float_linear_op();

}  // namespace nanoaccel::ort
