#include "ort/linear_around.h"

namespace nanoaccel::ort {

LinearAround::LinearAround(const Api& api, const KernelInfo* info, int64_t inputs)
    : api_(api), inputs_(inputs), has_residual_(is_given(api, info, kResidual)) {
  const int64_t activation = integer(api, info, "activation");
  if (activation < 0 || activation >= kActivations) {
    throw std::invalid_argument("the linear's activation is unknown");
  }
  activation_ = static_cast<Activation>(activation);
  if (!is_given(api, info, kNorm)) return;
  norm_ = floats(info, kNorm, "the norm's weights");
  if (is_given(api, info, kNormBias)) norm_bias_ = floats(info, kNormBias, "the norm's bias");
  centered_ = integer(api, info, "centered") != 0;
  epsilon_ = real(api, info, "epsilon");
}

std::vector<float> LinearAround::floats(const KernelInfo* info, LinearInput input,
                                        const char* name) const {
  const Numbers<float> found =
      numbers<float>(constant_tensor(api_, info, input, name), ElementType::kFloat, name);
  if (found.size != inputs_) throw std::invalid_argument(std::string(name) + " does not fit K");
  return {found.data, found.data + found.size};
}

LinearCall LinearAround::call(KernelContext* context, int64_t outputs) const {
  const Tensor x = input_tensor(api_, context, kX);
  if (x.shape.empty() || x.shape.back() != inputs_) {
    throw std::invalid_argument("the last axis of the linear's input is not K");
  }
  LinearCall call = {};
  call.x = static_cast<const float*>(x.data);
  call.rows = x.size() / inputs_;
  call.activation = activation_;
  if (!norm_.empty()) {
    const float* bias = norm_bias_.empty() ? nullptr : norm_bias_.data();
    call.norm = {norm_.data(), epsilon_, bias, centered_};
  }
  if (has_residual_) {
    const Tensor residual = input_tensor(api_, context, kResidual);
    if (residual.size() != call.rows * outputs) {
      throw std::invalid_argument("the linear's residual has another size");
    }
    call.residual = static_cast<const float*>(residual.data);
  }
  std::vector<int64_t> shape = x.shape;
  shape.back() = outputs;
  Value* output = nullptr;
  check(api_.output(context, 0, shape.data(), shape.size(), &output));
  void* y = nullptr;
  check(api_.tensor_data(output, &y));
  call.y = static_cast<float*>(y);
  return call;
}

ElementType linear_input_type(const CustomOp*, size_t index) {
  switch (index) {
    case kZeros:
      return ElementType::kUint8;
    case kWeights:
    case kScales:
      return ElementType::kUndefined;
    default:
      return ElementType::kFloat;
  }
}

}  // namespace nanoaccel::ort
