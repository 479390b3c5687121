// What the operators of this library have in common: they run on the CPU and give one float tensor.
#pragma once

#include "ort/c_api.h"

namespace nanoaccel::ort {

constexpr CustomOp float_op() {
  CustomOp op = {};
  op.version = kApiVersion;
  op.provider = [](const CustomOp*) { return "CPUExecutionProvider"; };
  op.output_type = [](const CustomOp*, size_t) { return ElementType::kFloat; };
  op.output_count = [](const CustomOp*) -> size_t { return 1; };
  op.output_presence = [](const CustomOp*, size_t) { return Presence::kRequired; };
  op.input_memory = [](const CustomOp*, size_t) { return 0; };
  op.variadic_input_minimum = [](const CustomOp*) { return 0; };
  op.variadic_input_alike = [](const CustomOp*) { return 0; };
  op.variadic_output_minimum = [](const CustomOp*) { return 0; };
  op.variadic_output_alike = [](const CustomOp*) { return 0; };
  op.first_version = [](const CustomOp*) { return 1; };
  op.last_version = [](const CustomOp*) { return 1; };
  return op;
}

}  // namespace nanoaccel::ort
