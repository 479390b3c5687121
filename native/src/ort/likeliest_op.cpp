#include "ort/likeliest_op.h"

#include "likeliest/likeliest.h"
#include "ort/float_op.h"
#include "ort/session_pool.h"

namespace nanoaccel::ort {
namespace {

class LikeliestKernel {
 public:
  explicit LikeliestKernel(const Api& api) : api_(api), parts_(parts_of_a_work()) {}

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    const Tensor logits = input_tensor(api_, context, 0);
    if (logits.shape.empty() || logits.shape.back() < 1) {
      throw std::invalid_argument("nanoaccel.Likeliest: there is no last axis to search");
    }
    const int64_t width = logits.shape.back();
    const int64_t rows = logits.size() / width;
    Value* made = nullptr;
    check(api_.output(context, 0, &rows, 1, &made));
    void* found = nullptr;
    check(api_.tensor_data(made, &found));
    SessionPool pool(api_, context);
    find_likeliest(static_cast<const float*>(logits.data), rows, width, pool, parts_,
                   static_cast<int64_t*>(found));
  }

 private:
  const Api& api_;
  int64_t parts_;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo*, void** kernel) {
  return guarded(*api, [&] { *kernel = new LikeliestKernel(*api); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& likeliest = *static_cast<const LikeliestKernel*>(kernel);
  return guarded(likeliest.api(), [&] { likeliest.compute(context); });
}

constexpr CustomOp kLikeliest = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "Likeliest"; };
  op.input_type = [](const CustomOp*, size_t) { return ElementType::kFloat; };
  op.input_count = [](const CustomOp*) -> size_t { return 1; };
  op.input_presence = [](const CustomOp*, size_t) { return Presence::kRequired; };
  op.output_type = [](const CustomOp*, size_t) { return ElementType::kInt64; };
  op.destroy = [](void* kernel) { delete static_cast<LikeliestKernel*>(kernel); };
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* likeliest_op() { return &kLikeliest; }

}  // namespace nanoaccel::ort
