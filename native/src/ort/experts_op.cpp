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
enum Part : size_t { kCodes, kScales, kZeros, kBias };  // of gate_up and down

class ExpertsKernel {
 public:
  ExpertsKernel(const Api& api, const KernelInfo* info)
      : api_(api), path_(*chosen_path()), parts_(parts_of_a_work()) {
    ExpertsSource source;
    source.experts = integer(api, info, "experts");
    source.hidden = integer(api, info, "hidden");
    source.inner = integer(api, info, "inner");
    source.bits = integer(api, info, "bits");
    source.group = integer(api, info, "block_size");
    source.gate_up = projection(info, kGateUp, kGateUpFactors);
    source.down = projection(info, kDown, kDownFactors);
    top_k_ = integer(api, info, "top_k");
    unit_ = {real(api, info, "alpha"), real(api, info, "beta"), real(api, info, "limit")};
    const std::string problem = weights_.pack(source);
    if (!problem.empty()) throw std::invalid_argument("nanoaccel.Experts: " + problem);
    release(source.gate_up.codes, source.gate_up);
    release(source.down.codes, source.down);
    if (top_k_ < 1 || top_k_ > weights_.experts()) {
      throw std::invalid_argument("nanoaccel.Experts: top_k is out of range");
    }
  }

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    const Tensor x = input_tensor(api_, context, kX);
    const Tensor logits = input_tensor(api_, context, kLogits);
    if (x.shape.empty() || x.shape.back() != weights_.hidden()) {
      throw std::invalid_argument(
          "nanoaccel.Experts: the input's last axis is not its hidden size");
    }
    const int64_t rows = x.size() / weights_.hidden();
    if (logits.size() != rows * weights_.experts()) {
      throw std::invalid_argument("nanoaccel.Experts: the logits do not fit rows and experts");
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
                              unit_};
    SessionPool pool(api_, context);
    run_experts(path_.linear, path_.experts, weights_, call, pool, parts_);
  }

 private:
  template <class T>
  Numbers<T> numbers(const KernelInfo* info, size_t index, ElementType type) const {
    const Tensor tensor = constant_tensor(api_, info, index, "a tensor of the experts");
    if (tensor.type != type) {
      throw std::invalid_argument("nanoaccel.Experts: a tensor has another type");
    }
    return {static_cast<const T*>(tensor.data), tensor.size()};
  }

  ProjectionSource projection(const KernelInfo* info, size_t first, size_t factors) const {
    ProjectionSource source;
    source.codes = numbers<uint8_t>(info, first + kCodes, ElementType::kUint8);
    const Tensor scales = constant_tensor(api_, info, first + kScales, "the scales");
    if (scales.type == ElementType::kUint8) {
      source.exponents = numbers<uint8_t>(info, first + kScales, ElementType::kUint8);
    } else if (scales.type == ElementType::kFloat16) {
      source.half_scales = numbers<uint16_t>(info, first + kScales, ElementType::kFloat16);
    } else {
      source.scales = numbers<float>(info, first + kScales, ElementType::kFloat);
    }
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

  const Api& api_;
  const Path& path_;
  int64_t parts_;
  int64_t top_k_;
  GatedUnit unit_;
  ExpertWeights weights_;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new ExpertsKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& experts = *static_cast<const ExpertsKernel*>(kernel);
  return guarded(experts.api(), [&] { experts.compute(context); });
}

constexpr Part part_of(size_t index) {
  return static_cast<Part>((index - (index < kDown ? kGateUp : kDown)));
}

ElementType input_type(const CustomOp*, size_t index) {
  if (index < kGateUp || index >= kGateUpFactors || part_of(index) == kBias)
    return ElementType::kFloat;
  return part_of(index) == kScales ? ElementType::kUndefined : ElementType::kUint8;
}

constexpr CustomOp kExperts = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "Experts"; };
  op.input_type = input_type;
  op.input_count = [](const CustomOp*) -> size_t { return kInputs; };
  op.destroy = [](void* kernel) { delete static_cast<ExpertsKernel*>(kernel); };
  op.input_presence = [](const CustomOp*, size_t index) {
    const bool needed = index < kGateUp || (index < kGateUpFactors && part_of(index) <= kScales);
    return needed ? Presence::kRequired : Presence::kOptional;
  };
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* experts_op() { return &kExperts; }

}  // namespace nanoaccel::ort
