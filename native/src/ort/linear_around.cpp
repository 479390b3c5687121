#include "ort/linear_around.h"

#include "isa/path.h"

namespace nanoaccel::ort {

LinearAround::LinearAround(const Api& api, const KernelInfo* info, int64_t inputs)
    : api_(api), inputs_(inputs), has_residual_(is_given(api, info, kResidual)) {
  const int64_t activation = integer(api, info, "activation");
  if (activation < 0 || activation >= kActivations) {
    throw std::invalid_argument("the linear's activation is unknown");
  }
  activation_ = static_cast<Activation>(activation);
  if (is_given(api, info, kAdapters)) find_adapters(info);
  if (!is_given(api, info, kNorm)) return;
  norm_ = floats(info, kNorm, "the norm's weights");
  if (is_given(api, info, kNormBias)) norm_bias_ = floats(info, kNormBias, "the norm's bias");
  centered_ = integer(api, info, "centered") != 0;
  epsilon_ = real(api, info, "epsilon");
}

void LinearAround::find_adapters(const KernelInfo* info) {
  kernels_ = &chosen_path()->low_rank;
  matrix_ = integer(api_, info, "matrix");
  table_ = AdapterTable::find(integer(api_, info, "adapters"));
  if (table_ == nullptr) throw std::invalid_argument("the linear's table of adapters is not there");
}

// The slots of all rows, of all tokens where x is [1, T, ...], or of none.
AdapterRows LinearAround::adapters(KernelContext* context, const Tensor& x, int64_t rows) const {
  const Value* value = nullptr;
  check(api_.input(context, kAdapters, &value));
  ShapeInfo* info = nullptr;
  check(api_.shape(value, &info));
  size_t count = 0;
  Status* const failed = api_.element_count(info, &count);
  api_.release_shape(info);
  check(failed);
  if (count == 0) return {};
  const auto given = static_cast<int64_t>(count);
  const bool of_tokens = x.shape.size() > 2 && x.shape[0] == 1 && x.shape[1] == given;
  if (given != rows && !of_tokens) {
    throw std::invalid_argument("the linear's adapters are not one for each row");
  }
  void* slots = nullptr;
  check(api_.tensor_data(const_cast<Value*>(value), &slots));
  return {static_cast<const int32_t*>(slots), rows / given, 0, table_.get(), kernels_, matrix_};
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
  if (table_ != nullptr) call.adapters = adapters(context, x, call.rows);
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
    case kAdapters:
      return ElementType::kInt32;
    default:
      return ElementType::kFloat;
  }
}

}  // namespace nanoaccel::ort
