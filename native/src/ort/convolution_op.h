// The operator nanoaccel.CausalConvolution: a convolution over the tokens of each text, with a
// state.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* convolution_op();

}  // namespace nanoaccel::ort
