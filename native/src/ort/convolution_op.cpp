#include "ort/convolution_op.h"

#include "convolution/convolution.h"
#include "isa/path.h"
#include "ort/float_op.h"
#include "ort/session_pool.h"
#include "ort/state_inputs.h"

namespace nanoaccel::ort {
namespace {

// Inputs, in their order.
enum Input : size_t {
  kX,
  kWeight,
  kBias,
  kStates,  // and those behind it
  kInputs = kStates + kStateInputs
};

[[noreturn]] void refuse(const std::string& problem) {
  throw std::invalid_argument("nanoaccel.CausalConvolution: " + problem);
}

class ConvolutionKernel {
 public:
  ConvolutionKernel(const Api& api, const KernelInfo* info)
      : api_(api),
        path_(*chosen_path()),
        parts_(parts_of_a_work()),
        offset_(integer(api, info, "state_offset")),
        silu_(integer(api, info, "silu") != 0),
        has_bias_(is_given(api, info, kBias)) {}

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    const Tensor x = input_tensor(api_, context, kX);
    const Tensor weight = input_tensor(api_, context, kWeight);
    if (weight.shape.size() != 2) refuse("the weights are not [taps, channels]");
    ConvolutionLayer layer = {};
    layer.taps = weight.shape[0];
    layer.channels = weight.shape[1];
    layer.weight = static_cast<const float*>(weight.data);
    layer.silu = silu_;
    std::string problem = layer_problem(layer);
    if (!problem.empty()) refuse(problem);
    if (has_bias_) {
      const Tensor bias = input_tensor(api_, context, kBias);
      if (bias.size() != layer.channels) refuse("the bias does not fit the channels");
      layer.bias = static_cast<const float*>(bias.data);
    }
    if (x.shape.empty() || x.shape.back() != layer.channels) {
      refuse("the last axis does not fit the channels");
    }
    ConvolutionPass pass = {};
    pass.states = read_steps(api_, context, kStates, offset_, x.size() / layer.channels,
                             state_numbers(layer));
    pass.x = static_cast<const float*>(x.data);
    pass.y = only_output(api_, context, x.shape);
    SessionPool pool(api_, context);
    run_convolution(path_.convolution, layer, pass, pool, parts_);
  }

 private:
  const Api& api_;
  const Path& path_;
  int64_t parts_;
  int64_t offset_;
  bool silu_;
  bool has_bias_;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new ConvolutionKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& convolution = *static_cast<const ConvolutionKernel*>(kernel);
  return guarded(convolution.api(), [&] { convolution.compute(context); });
}

constexpr CustomOp kConvolution = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "CausalConvolution"; };
  op.input_type = [](const CustomOp*, size_t index) {
    return index < kStates ? ElementType::kFloat : type_of_state_input(index - kStates);
  };
  op.input_count = [](const CustomOp*) -> size_t { return kInputs; };
  op.input_presence = [](const CustomOp*, size_t index) {
    return index == kBias ? Presence::kOptional : Presence::kRequired;
  };
  op.destroy = [](void* kernel) { delete static_cast<ConvolutionKernel*>(kernel); };
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* convolution_op() { return &kConvolution; }

}  // namespace nanoaccel::ort
