#include "ort/linear_attention_op.h"

#include "isa/path.h"
#include "linear_attention/linear_attention.h"
#include "ort/float_op.h"
#include "ort/session_pool.h"
#include "ort/state_inputs.h"

namespace nanoaccel::ort {
namespace {

// Inputs, in their order.
enum Input : size_t {
  kQueries,
  kKeys,
  kValues,
  kSteps,
  kBias,
  kDecay,
  kBetas,   // of the delta rule
  kStates,  // and those behind it
  kInputs = kStates + kStateInputs
};

[[noreturn]] void refuse(const std::string& problem) {
  throw std::invalid_argument("nanoaccel.LinearAttention: " + problem);
}

class LinearAttentionKernel {
 public:
  LinearAttentionKernel(const Api& api, const KernelInfo* info)
      : api_(api), path_(*chosen_path()), offset_(integer(api, info, "state_offset")) {
    layer_.heads = integer(api, info, "num_heads");
    layer_.key_heads = integer(api, info, "key_heads");
    layer_.key_size = integer(api, info, "key_size");
    layer_.value_size = integer(api, info, "value_size");
    layer_.unit = integer(api, info, "unit") != 0;
    layer_.scale = real(api, info, "scale");
    layer_.epsilon = real(api, info, "epsilon");
    layer_.least = real(api, info, "least");
    layer_.most = real(api, info, "most");
    layer_.delta = is_given(api, info, kBetas);
    const std::string problem = layer_problem(layer_);
    if (!problem.empty()) refuse(problem);
  }

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    LinearAttentionLayer layer = layer_;
    const int64_t values = layer.heads * layer.value_size;
    const Tensor given = input_tensor(api_, context, kValues);
    const int64_t tokens = given.size() / values;
    layer.gates = gates(context);
    const int64_t steps = step_count(layer);
    const bool cells = layer.gates == Gates::kValue;
    layer.bias = rows(context, kBias, 1, steps);
    layer.decay = rows(context, kDecay, cells ? layer.key_size : 1, cells ? steps : layer.heads);
    LinearAttentionPass pass = {};
    pass.queries = rows(context, kQueries, tokens, layer.key_heads * layer.key_size);
    pass.keys = rows(context, kKeys, tokens, layer.key_heads * layer.key_size);
    pass.values = rows(context, kValues, tokens, values);
    pass.raw = rows(context, kSteps, tokens, steps);
    if (layer.delta) pass.betas = rows(context, kBetas, tokens, layer.heads);
    pass.states = read_steps(api_, context, kStates, offset_, tokens, state_numbers(layer));
    pass.y = only_output(api_, context, {1, tokens, values});
    SessionPool pool(api_, context);
    run_linear_attention(path_.linear_attention, layer, pass, pool);
  }

 private:
  // What has a step of its own, by how many biases there are.
  Gates gates(KernelContext* context) const {
    if (input_tensor(api_, context, kBias).size() == layer_.heads) return Gates::kHead;
    return layer_.delta ? Gates::kKey : Gates::kValue;
  }

  // Numbers of an input, which has so many for each token.
  const float* rows(KernelContext* context, size_t index, int64_t tokens, int64_t width) const {
    const Tensor tensor = input_tensor(api_, context, index);
    if (tensor.size() != tokens * width) {
      refuse("input " + std::to_string(index) + " does not fit the heads and the tokens");
    }
    return static_cast<const float*>(tensor.data);
  }

  const Api& api_;
  const Path& path_;
  int64_t offset_;
  LinearAttentionLayer layer_ = {};
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new LinearAttentionKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& attention = *static_cast<const LinearAttentionKernel*>(kernel);
  return guarded(attention.api(), [&] { attention.compute(context); });
}

constexpr CustomOp kLinearAttention = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "LinearAttention"; };
  op.input_type = [](const CustomOp*, size_t index) {
    return index < kStates ? ElementType::kFloat : type_of_state_input(index - kStates);
  };
  op.input_count = [](const CustomOp*) -> size_t { return kInputs; };
  op.input_presence = [](const CustomOp*, size_t index) {
    return index == kBetas ? Presence::kOptional : Presence::kRequired;
  };
  op.destroy = [](void* kernel) { delete static_cast<LinearAttentionKernel*>(kernel); };
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* linear_attention_op() { return &kLinearAttention; }

}  // namespace nanoaccel::ort
