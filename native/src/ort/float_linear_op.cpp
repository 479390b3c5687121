#include "ort/float_linear_op.h"

#include "isa/path.h"
#include "linear/float/run.h"
#include "ort/float_op.h"
#include "ort/linear_around.h"
#include "ort/session_pool.h"

namespace nanoaccel::ort {
namespace {

// The type that a matrix is stored in; integers are codes, of the kind that the node names.
Stored stored_as(const Tensor& weights, int64_t codes) {
  switch (weights.type) {
    case ElementType::kFloat:
      return Stored::kFloat32;
    case ElementType::kFloat16:
      return Stored::kFloat16;
    case ElementType::kBfloat16:
      return Stored::kBfloat16;
    case ElementType::kUint8:
      break;
    default:
      throw std::invalid_argument("nanoaccel.FloatLinear: the weights have another type");
  }
  const auto stored = static_cast<Stored>(codes);
  if (stored < Stored::kIntegers || stored > Stored::kFp4) {
    throw std::invalid_argument("nanoaccel.FloatLinear: the codes are of no known kind");
  }
  return stored;
}

int64_t bytes_of(ElementType type) {
  return type == ElementType::kUint8 ? 1 : type == ElementType::kFloat ? 4 : 2;
}

class FloatLinearKernel {
 public:
  FloatLinearKernel(const Api& api, const KernelInfo* info)
      : around_(api, info, integer(api, info, "K")),
        path_(*chosen_path()),
        parts_(parts_of_a_work()) {
    const Tensor weights = constant_tensor(api, info, kWeights, "weights");
    FloatSource source;
    read_matrix(api, info, &source);
    source.stored = stored_as(weights, integer(api, info, "codes"));
    source.values = {static_cast<const uint8_t*>(weights.data),
                     weights.size() * bytes_of(weights.type)};
    source.rows = integer(api, info, "rows") != 0;
    pack_matrix(api, info, "FloatLinear", source, source.values, &weights_);
  }

  const Api& api() const { return around_.api(); }

  void compute(KernelContext* context) const {
    const LinearCall call = around_.call(context, weights_.outputs());
    SessionPool pool(api(), context);
    run_float_linear(path_.float_linear, weights_, call, pool, parts_);
  }

 private:
  LinearAround around_;
  const Path& path_;
  int64_t parts_;
  FloatWeights weights_;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new FloatLinearKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& linear = *static_cast<const FloatLinearKernel*>(kernel);
  return guarded(linear.api(), [&] { linear.compute(context); });
}

constexpr CustomOp kFloatLinear = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "FloatLinear"; };
  op.input_type = linear_input_type;
  op.input_count = [](const CustomOp*) -> size_t { return kLinearInputs; };
  op.destroy = [](void* kernel) { delete static_cast<FloatLinearKernel*>(kernel); };
  op.input_presence = [](const CustomOp*, size_t index) {
    return index <= kWeights ? Presence::kRequired : Presence::kOptional;
  };
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* float_linear_op() { return &kFloatLinear; }

}  // namespace nanoaccel::ort
