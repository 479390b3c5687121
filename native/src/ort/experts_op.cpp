#include "ort/experts_op.h"

#include "experts/experts.h"
#include "isa/path.h"
#include "ort/float_op.h"
#include "ort/release.h"
#include "ort/session_pool.h"
#include "ort/tensor.h"

namespace nanoaccel::ort {
namespace {

// Inputs, in their order. All but x and the router's logits are initializers.
enum Input : size_t { kX, kLogits, kGateUp, kDown = 6, kGateUpFactors = 10, kDownFactors, kInputs };
enum Part : size_t { kCodes, kScales, kZeros, kBias };  // of gate_up and down; codes may be floats

int64_t bytes_of(ElementType type) {
  return type == ElementType::kUint8 ? 1 : type == ElementType::kFloat ? 4 : 2;
}

// What differs between experts that round their inputs, and those that do not.
struct Rounded {
  static constexpr const char* kName = "Experts";
  using Weights = ExpertWeights;
  static const LinearKernels& linear(const Path& path) { return path.linear; }
};

struct Exact {
  static constexpr const char* kName = "FloatExperts";
  using Weights = FloatExpertWeights;
  static const FloatKernels& linear(const Path& path) { return path.float_linear; }
};

template <class Kind>
class ExpertsKernel {
 public:
  ExpertsKernel(const Api& api, const KernelInfo* info)
      : api_(api), path_(*chosen_path()), parts_(parts_of_a_work()) {
    ExpertsSource source;
    const Tensor first = constant_tensor(api, info, kGateUp, "weights");
    source.stored = stored_as(first.type);
    source.experts = integer(api, info, "experts");
    source.hidden = integer(api, info, "hidden");
    source.inner = integer(api, info, "inner");
    source.gated = first.shape.size() < 2 || first.shape[1] != source.inner;
    source.bits = integer(api, info, "bits");
    source.group = integer(api, info, "block_size");
    source.gate_up = projection(info, kGateUp, kGateUpFactors);
    source.down = projection(info, kDown, kDownFactors);
    top_k_ = integer(api, info, "top_k");
    shares_ = integer(api, info, "shares") != 0;
    unit_ = {real(api, info, "alpha"), real(api, info, "beta"), real(api, info, "limit"),
             static_cast<Activation>(integer(api, info, "activation")), source.gated};
    if (!is_gate(unit_.activation)) refuse("the activation is of no known kind");
    const std::string problem = weights_.pack(source);
    if (!problem.empty()) refuse(problem);
    release(source.gate_up.codes, source.gate_up);
    release(source.down.codes, source.down);
    if (top_k_ < 1 || top_k_ > weights_.experts()) {
      refuse("top_k is out of range");
    }
  }

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    const Tensor x = input_tensor(api_, context, kX);
    const Tensor logits = input_tensor(api_, context, kLogits);
    if (x.shape.empty() || x.shape.back() != weights_.hidden()) {
      refuse("the input's last axis is not its hidden size");
    }
    const int64_t rows = x.size() / weights_.hidden();
    if (logits.size() != rows * weights_.experts()) {
      refuse("the logits do not fit rows and experts");
    }
    Value* output = nullptr;
    check(api_.output(context, 0, x.shape.data(), x.shape.size(), &output));
    void* y = nullptr;
    check(api_.tensor_data(output, &y));
    const ExpertsCall call = {static_cast<const float*>(x.data),
                              static_cast<const float*>(logits.data),
                              static_cast<float*>(y),
                              rows,
                              top_k_,
                              unit_,
                              shares_};
    SessionPool pool(api_, context);
    run_experts(Kind::linear(path_), path_.experts, weights_, call, pool, parts_);
  }

 private:
  [[noreturn]] static void refuse(const std::string& why) {
    throw std::invalid_argument(std::string("nanoaccel.") + Kind::kName + ": " + why);
  }

  // Numbers that are not rounded may be floats; integers are codes.
  static Stored stored_as(ElementType type) {
    switch (type) {
      case ElementType::kUint8:
        return Stored::kIntegers;
      case ElementType::kFloat:
        return Stored::kFloat32;
      case ElementType::kFloat16:
        return Stored::kFloat16;
      case ElementType::kBfloat16:
        return Stored::kBfloat16;
      default:
        refuse("the weights have another type");
    }
  }

  template <class T>
  Numbers<T> numbers(const KernelInfo* info, size_t index, ElementType type) const {
    const Tensor tensor = constant_tensor(api_, info, index, "a tensor of the experts");
    if (tensor.type != type) {
      refuse("a tensor has another type");
    }
    return {static_cast<const T*>(tensor.data), tensor.size()};
  }

  ProjectionSource projection(const KernelInfo* info, size_t first, size_t factors) const {
    ProjectionSource source;
    const Tensor values = constant_tensor(api_, info, first + kCodes, "the weights");
    source.codes = {static_cast<const uint8_t*>(values.data),
                    values.size() * bytes_of(values.type)};
    if (is_given(api_, info, first + kScales)) read_scales(info, first + kScales, &source);
    if (is_given(api_, info, factors)) {
      source.factors = numbers<float>(info, factors, ElementType::kFloat);
    }
    if (is_given(api_, info, first + kZeros)) {
      source.zeros = numbers<uint8_t>(info, first + kZeros, ElementType::kUint8);
    }
    if (is_given(api_, info, first + kBias)) {
      source.bias = numbers<float>(info, first + kBias, ElementType::kFloat);
    }
    return source;
  }

  void read_scales(const KernelInfo* info, size_t index, ProjectionSource* source) const {
    const Tensor scales = constant_tensor(api_, info, index, "the scales");
    if (scales.type == ElementType::kUint8) {
      source->exponents = numbers<uint8_t>(info, index, ElementType::kUint8);
    } else if (scales.type == ElementType::kFloat16) {
      source->half_scales = numbers<uint16_t>(info, index, ElementType::kFloat16);
    } else {
      source->scales = numbers<float>(info, index, ElementType::kFloat);
    }
  }

  const Api& api_;
  const Path& path_;
  int64_t parts_;
  int64_t top_k_;
  bool shares_;
  GatedUnit unit_;
  typename Kind::Weights weights_;
};

template <class Kind>
Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new ExpertsKernel<Kind>(*api, info); });
}

template <class Kind>
Status* compute(void* kernel, KernelContext* context) {
  const auto& experts = *static_cast<const ExpertsKernel<Kind>*>(kernel);
  return guarded(experts.api(), [&] { experts.compute(context); });
}

constexpr Part part_of(size_t index) {
  return static_cast<Part>((index - (index < kDown ? kGateUp : kDown)));
}

// Undefined where a kernel takes several.
ElementType input_type(const CustomOp*, size_t index) {
  if (index < kGateUp || index >= kGateUpFactors || part_of(index) == kBias)
    return ElementType::kFloat;
  return part_of(index) == kZeros ? ElementType::kUint8 : ElementType::kUndefined;
}

template <class Kind>
constexpr CustomOp kOperator = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return Kind::kName; };
  op.input_type = input_type;
  op.input_count = [](const CustomOp*) -> size_t { return kInputs; };
  op.destroy = [](void* kernel) { delete static_cast<ExpertsKernel<Kind>*>(kernel); };
  op.input_presence = [](const CustomOp*, size_t index) {
    const bool needed = index < kGateUp || (index < kGateUpFactors && part_of(index) == kCodes);
    return needed ? Presence::kRequired : Presence::kOptional;
  };
  op.create = create<Kind>;
  op.compute = compute<Kind>;
  return op;
}();

}  // namespace

const CustomOp* experts_op() { return &kOperator<Rounded>; }
const CustomOp* float_experts_op() { return &kOperator<Exact>; }

}  // namespace nanoaccel::ort
