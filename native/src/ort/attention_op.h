// The operator nanoaccel.PagedAttention: rotary embedding, writing into the cache, and attention.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

const CustomOp* attention_op();

}  // namespace nanoaccel::ort
