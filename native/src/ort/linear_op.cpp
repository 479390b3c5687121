#include "ort/linear_op.h"

#include "isa/path.h"
#include "linear/linear.h"
#include "memory/file_pages.h"
#include "ort/float_op.h"
#include "ort/session_pool.h"
#include "ort/tensor.h"

namespace nanoaccel::ort {
namespace {

// Inputs, in their order. All but x and the residual are initializers.
enum Input : size_t { kX, kCodes, kScales, kZeros, kBias, kNorm, kResidual, kInputs };

int64_t attribute(const Api& api, const KernelInfo* info, const char* name) {
  int64_t value = 0;
  check(api.attribute_int(info, name, &value));
  return value;
}

template <class T>
Numbers<T> numbers(const Tensor& tensor, ElementType type, const char* name) {
  if (tensor.type != type) throw std::invalid_argument(std::string(name) + " has another type");
  return {static_cast<const T*>(tensor.data), tensor.size()};
}

// What was packed is not read again, and need not stay in memory beside it.
template <class T>
void release(const Numbers<T>& numbers) {
  release_file_pages(numbers.data, static_cast<size_t>(numbers.size) * sizeof(T));
}

class LinearKernel {
 public:
  LinearKernel(const Api& api, const KernelInfo* info)
      : api_(api), path_(*chosen_path()), parts_(parts_of_a_work()) {
    LinearSource source;
    source.inputs = attribute(api, info, "K");
    source.outputs = attribute(api, info, "N");
    source.bits = attribute(api, info, "bits");
    source.group = attribute(api, info, "block_size");
    source.swiglu = attribute(api, info, "swiglu") != 0;
    source.codes =
        numbers<uint8_t>(constant_tensor(api, info, kCodes, "codes"), ElementType::kUint8, "codes");
    const Tensor scales = constant_tensor(api, info, kScales, "scales");
    if (scales.type == ElementType::kFloat16) {
      source.half_scales = numbers<uint16_t>(scales, ElementType::kFloat16, "scales");
    } else {
      source.scales = numbers<float>(scales, ElementType::kFloat, "scales");
    }
    if (is_given(api, info, kZeros)) {
      source.zeros = numbers<uint8_t>(constant_tensor(api, info, kZeros, "zero points"),
                                      ElementType::kUint8, "zero points");
    }
    if (is_given(api, info, kBias)) source.bias = floats(info, kBias, "bias");
    if (is_given(api, info, kNorm)) read_norm(info, source.inputs);
    has_residual_ = is_given(api, info, kResidual);
    const std::string problem = weights_.pack(source);
    if (!problem.empty()) throw std::invalid_argument("nanoaccel.Linear: " + problem);
    release(source.codes);
    release(source.scales);
    release(source.half_scales);
    release(source.zeros);
  }

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    const Tensor x = input_tensor(api_, context, kX);
    const int64_t inputs = weights_.view().inputs;
    if (x.shape.empty() || x.shape.back() != inputs) {
      throw std::invalid_argument("nanoaccel.Linear: the input's last axis is not K");
    }
    std::vector<int64_t> shape = x.shape;
    shape.back() = weights_.outputs();
    LinearCall call = {static_cast<const float*>(x.data),
                       nullptr,
                       nullptr,
                       x.size() / inputs,
                       {norm_.empty() ? nullptr : norm_.data(), epsilon_}};
    if (has_residual_) {
      const Tensor residual = input_tensor(api_, context, kResidual);
      if (residual.size() != call.rows * weights_.outputs()) {
        throw std::invalid_argument("nanoaccel.Linear: the residual has another size");
      }
      call.residual = static_cast<const float*>(residual.data);
    }
    Value* output = nullptr;
    check(api_.output(context, 0, shape.data(), shape.size(), &output));
    void* y = nullptr;
    check(api_.tensor_data(output, &y));
    call.y = static_cast<float*>(y);
    SessionPool pool(api_, context);
    run_linear(path_.linear, weights_, call, pool, parts_);
  }

 private:
  Numbers<float> floats(const KernelInfo* info, Input input, const char* name) const {
    return numbers<float>(constant_tensor(api_, info, input, name), ElementType::kFloat, name);
  }

  void read_norm(const KernelInfo* info, int64_t inputs) {
    const Numbers<float> weight = floats(info, kNorm, "norm weights");
    if (weight.size != inputs) throw std::invalid_argument("nanoaccel.Linear: norm does not fit K");
    norm_.assign(weight.data, weight.data + weight.size);
    check(api_.attribute_float(info, "epsilon", &epsilon_));
  }

  const Api& api_;
  const Path& path_;
  int64_t parts_;
  PackedWeights weights_;
  std::vector<float> norm_;
  float epsilon_ = 0.0F;
  bool has_residual_ = false;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new LinearKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& linear = *static_cast<const LinearKernel*>(kernel);
  return guarded(linear.api(), [&] { linear.compute(context); });
}

ElementType input_type(const CustomOp*, size_t index) {
  switch (index) {
    case kCodes:
    case kZeros:
      return ElementType::kUint8;
    case kScales:
      return ElementType::kUndefined;  // f16 or f32
    default:
      return ElementType::kFloat;
  }
}

constexpr CustomOp kLinear = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "Linear"; };
  op.input_type = input_type;
  op.input_count = [](const CustomOp*) -> size_t { return kInputs; };
  op.destroy = [](void* kernel) { delete static_cast<LinearKernel*>(kernel); };
  op.input_presence = [](const CustomOp*, size_t index) {
    return index <= kScales ? Presence::kRequired : Presence::kOptional;
  };
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* linear_op() { return &kLinear; }

}  // namespace nanoaccel::ort
