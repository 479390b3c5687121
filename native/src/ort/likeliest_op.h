// The operator nanoaccel.Likeliest: the index of the largest of each row of logits.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* likeliest_op();

}  // namespace nanoaccel::ort
