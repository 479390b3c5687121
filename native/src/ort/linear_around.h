// What both linears read from their node besides the matrix, and the calls that they make.
#pragma once

#include <vector>

#include "linear/linear.h"
#include "linear/stored.h"
#include "low_rank/table.h"
#include "ort/release.h"
#include "ort/tensor.h"

namespace nanoaccel::ort {

// Inputs, in their order. All but x, the residual and the adapters are initializers.
enum LinearInput : size_t {
  kX,
  kWeights,
  kScales,
  kZeros,
  kBias,
  kNorm,
  kNormBias,
  kResidual,
  kAdapters,
  kLinearInputs
};

template <class T>
Numbers<T> numbers(const Tensor& tensor, ElementType type, const char* name) {
  if (tensor.type != type) throw std::invalid_argument(std::string(name) + " has another type");
  return {static_cast<const T*>(tensor.data), tensor.size()};
}

// Sizes, scales in f32 or f16, zero points and the bias of a node.
inline void read_matrix(const Api& api, const KernelInfo* info, StoredMatrix* source) {
  source->inputs = integer(api, info, "K");
  source->outputs = integer(api, info, "N");
  source->bits = integer(api, info, "bits");
  source->group = integer(api, info, "block_size");
  source->gated = integer(api, info, "gated") != 0;
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

// Packs a matrix, whose file is not needed then.
//
// Throws what is wrong with it, with the name of its weights.
template <class Source, class Weights>
void pack_matrix(const Api& api, const KernelInfo* info, const char* kind, const Source& source,
                 const Numbers<uint8_t>& codes, Weights* weights) {
  const std::string problem = weights->pack(source);
  if (!problem.empty()) {
    throw std::invalid_argument(std::string("nanoaccel.") + kind + ": " +
                                name_of_input(api, info, kWeights) + ": " + problem);
  }
  release(codes, source);
}

class LinearAround {
 public:
  LinearAround(const Api& api, const KernelInfo* info, int64_t inputs);

  const Api& api() const { return api_; }

  // Reads the inputs of a call, and allocates its output.
  LinearCall call(KernelContext* context, int64_t outputs) const;

 private:
  void find_adapters(const KernelInfo* info);
  AdapterRows adapters(KernelContext* context, const Tensor& x, int64_t rows) const;
  std::vector<float> floats(const KernelInfo* info, LinearInput input, const char* name) const;

  const Api& api_;
  int64_t inputs_;
  std::vector<float> norm_;
  std::vector<float> norm_bias_;
  float epsilon_ = 0.0F;
  bool centered_ = false;
  Activation activation_ = Activation::kNone;
  bool has_residual_ = false;
  std::shared_ptr<AdapterTable> table_;  // nullptr: it takes no adapters
  const LowRankKernels* kernels_ = nullptr;
  int64_t matrix_ = 0;
};

// The type of an input; undefined where a kernel takes several.
ElementType linear_input_type(const CustomOp*, size_t index);

}  // namespace nanoaccel::ort
