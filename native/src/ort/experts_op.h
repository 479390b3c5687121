// The operator nanoaccel.Experts: a mixture of experts, from the router's logits on.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* experts_op();
const CustomOp* float_experts_op();  // without rounding activations

}  // namespace nanoaccel::ort
