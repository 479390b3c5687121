#include "ort/state_inputs.h"

namespace nanoaccel::ort {
namespace {

const int32_t* integers(const Tensor& tensor) { return static_cast<const int32_t*>(tensor.data); }

}  // namespace

ElementType type_of_state_input(size_t index) {
  return index == kStateTable ? ElementType::kFloat : ElementType::kInt32;
}

StateSteps read_steps(const Api& api, const KernelContext* context, size_t first, int64_t offset,
                      int64_t tokens, int64_t numbers) {
  Tensor given[kStateInputs];
  for (size_t i = 0; i < kStateInputs; ++i) given[i] = input_tensor(api, context, first + i);
  const Tensor& table = given[kStateTable];
  if (table.shape.size() != 2) throw std::invalid_argument("the states are not [rows, numbers]");
  if (offset < 0 || offset > table.shape[1]) {
    throw std::invalid_argument("state_offset is beyond the states");
  }
  const int64_t sequences = given[kStateIntervals].size();
  if (given[kStateSeqBegins].size() != sequences + 1 ||
      given[kStateBegins].size() != sequences + 1 || given[kStateOffsets].size() != sequences) {
    throw std::invalid_argument("the tables of states are not of one length");
  }
  const StateSteps steps = {static_cast<float*>(table.data) + offset,
                            table.shape[1],
                            integers(given[kStateSeqBegins]),
                            integers(given[kStateSlots]),
                            integers(given[kStateBegins]),
                            integers(given[kStateIntervals]),
                            integers(given[kStateOffsets]),
                            sequences};
  const StateSizes sizes = {tokens, given[kStateSlots].size(), table.shape[0],
                            table.shape[1] - offset};
  const std::string problem = steps_problem(steps, sizes, numbers);
  if (!problem.empty()) throw std::invalid_argument(problem);
  return steps;
}

float* only_output(const Api& api, KernelContext* context, const std::vector<int64_t>& shape) {
  Value* made = nullptr;
  check(api.output(context, 0, shape.data(), shape.size(), &made));
  void* memory = nullptr;
  check(api.tensor_data(made, &memory));
  return static_cast<float*>(memory);
}

}  // namespace nanoaccel::ort
