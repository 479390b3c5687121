// The inputs of operators with recurrent states that say which states a pass reads and leaves.
#pragma once

#include <string>

#include "ort/tensor.h"
#include "states/steps.h"

namespace nanoaccel::ort {

// In their order, from some input of an operator on: the table f32 [rows, numbers], which is
// written to, and i32 tensors as ``StepPlan`` has them.
enum StateInput : size_t {
  kStateTable,
  kStateSeqBegins,
  kStateSlots,
  kStateBegins,
  kStateIntervals,
  kStateOffsets,
  kStateInputs
};

ElementType type_of_state_input(size_t index);

// Reads them, and checks that a layer of so many numbers stays within them. Throws
// std::invalid_argument.
StateSteps read_steps(const Api& api, const KernelContext* context, size_t first, int64_t offset,
                      int64_t tokens, int64_t numbers);

// The memory of the only output, of some shape.
float* only_output(const Api& api, KernelContext* context, const std::vector<int64_t>& shape);

}  // namespace nanoaccel::ort
