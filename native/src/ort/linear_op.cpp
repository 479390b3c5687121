#include "ort/linear_op.h"

#include "isa/path.h"
#include "linear/linear.h"
#include "ort/float_op.h"
#include "ort/linear_around.h"
#include "ort/session_pool.h"

namespace nanoaccel::ort {
namespace {

class LinearKernel {
 public:
  LinearKernel(const Api& api, const KernelInfo* info)
      : around_(api, info, integer(api, info, "K")),
        path_(*chosen_path()),
        parts_(parts_of_a_work()) {
    LinearSource source;
    read_matrix(api, info, &source);
    source.codes = numbers<uint8_t>(constant_tensor(api, info, kWeights, "codes"),
                                    ElementType::kUint8, "codes");
    pack_matrix(api, info, "Linear", source, source.codes, &weights_);
  }

  const Api& api() const { return around_.api(); }

  void compute(KernelContext* context) const {
    const LinearCall call = around_.call(context, weights_.outputs());
    SessionPool pool(api(), context);
    run_linear(path_.linear, weights_, call, pool, parts_);
  }

 private:
  LinearAround around_;
  const Path& path_;
  int64_t parts_;
  PackedWeights weights_;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new LinearKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& linear = *static_cast<const LinearKernel*>(kernel);
  return guarded(linear.api(), [&] { linear.compute(context); });
}

constexpr CustomOp kLinear = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "Linear"; };
  op.input_type = [](const CustomOp* self, size_t index) {
    return index == kWeights ? ElementType::kUint8 : linear_input_type(self, index);
  };
  op.input_count = [](const CustomOp*) -> size_t { return kLinearInputs; };
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
