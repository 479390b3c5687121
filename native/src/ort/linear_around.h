// What both linears read from their node besides the matrix, and the calls that they make.
#pragma once

#include <vector>

#include "linear/linear.h"
#include "ort/tensor.h"

namespace nanoaccel::ort {

// Inputs, in their order. All but x and the residual are initializers.
enum LinearInput : size_t {
  kX,
  kWeights,
  kScales,
  kZeros,
  kBias,
  kNorm,
  kNormBias,
  kResidual,
  kLinearInputs
};

int64_t attribute(const Api& api, const KernelInfo* info, const char* name);

template <class T>
Numbers<T> numbers(const Tensor& tensor, ElementType type, const char* name) {
  if (tensor.type != type) throw std::invalid_argument(std::string(name) + " has another type");
  return {static_cast<const T*>(tensor.data), tensor.size()};
}

// Scales in f32 or f16, zero points and the bias of a node, as a source of either kind has them.
template <class Source>
void read_numbers(const Api& api, const KernelInfo* info, Source* source) {
  if (is_given(api, info, kScales)) {
    const Tensor scales = constant_tensor(api, info, kScales, "scales");
    if (scales.type == ElementType::kFloat16) {
      source->half_scales = numbers<uint16_t>(scales, ElementType::kFloat16, "scales");
    } else {
      source->scales = numbers<float>(scales, ElementType::kFloat, "scales");
    }
  }
  if (is_given(api, info, kZeros)) {
    source->zeros = numbers<uint8_t>(constant_tensor(api, info, kZeros, "zero points"),
                                     ElementType::kUint8, "zero points");
  }
  if (is_given(api, info, kBias)) {
    source->bias =
        numbers<float>(constant_tensor(api, info, kBias, "bias"), ElementType::kFloat, "bias");
  }
}

class LinearAround {
 public:
  LinearAround(const Api& api, const KernelInfo* info, int64_t inputs);

  const Api& api() const { return api_; }

  // Reads the inputs of a call, and allocates its output.
  LinearCall call(KernelContext* context, int64_t outputs) const;

 private:
  std::vector<float> floats(const KernelInfo* info, LinearInput input, const char* name) const;

  const Api& api_;
  int64_t inputs_;
  std::vector<float> norm_;
  std::vector<float> norm_bias_;
  float epsilon_ = 0.0F;
  bool centered_ = false;
  Activation activation_ = Activation::kNone;
  bool has_residual_ = false;
};

// The type of an input; undefined where a kernel takes several.
ElementType linear_input_type(const CustomOp*, size_t index);

}  // namespace nanoaccel::ort
