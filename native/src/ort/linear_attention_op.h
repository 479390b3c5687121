// The operator nanoaccel.LinearAttention: the gated delta rule, and the scan of Mamba-2.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* linear_attention_op();

}  // namespace nanoaccel::ort
