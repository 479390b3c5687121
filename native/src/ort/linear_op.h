// The operator nanoaccel.Linear: norm, product, bias, activation and residual in one node.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* linear_op();

}  // namespace nanoaccel::ort
