// The entry that ONNX Runtime calls when it loads this library.

#include <cstdlib>
#include <string>

#include "export.h"
#include "isa/path.h"
#include "ort/attention_op.h"
#include "ort/convolution_op.h"
#include "ort/experts_op.h"
#include "ort/float_linear_op.h"
#include "ort/likeliest_op.h"
#include "ort/linear_attention_op.h"
#include "ort/linear_op.h"
#include "ort/tensor.h"

namespace nanoaccel::ort {
namespace {

constexpr const char* kDomain = "nanoaccel";

Status* refused(const ApiBase* base, const std::string& reason) {
  return base->get_api(1)->create_status(ErrorCode::kFail, reason.c_str());
}

// One domain for all sessions of the process, which it outlives.
Domain* domain(const Api& api) {
  static Domain* const one = [&] {
    Domain* made = nullptr;
    check(api.create_domain(kDomain, &made));
    check(api.domain_add(made, linear_op()));
    check(api.domain_add(made, float_linear_op()));
    check(api.domain_add(made, attention_op()));
    check(api.domain_add(made, experts_op()));
    check(api.domain_add(made, float_experts_op()));
    check(api.domain_add(made, convolution_op()));
    check(api.domain_add(made, linear_attention_op()));
    check(api.domain_add(made, likeliest_op()));
    return made;
  }();
  return one;
}

}  // namespace
}  // namespace nanoaccel::ort

extern "C" NANOACCEL_EXPORT nanoaccel::ort::Status* RegisterCustomOps(
    nanoaccel::ort::SessionOptions* options, const nanoaccel::ort::ApiBase* base) {
  using namespace nanoaccel::ort;
  const Api* api = base->get_api(kApiVersion);
  if (api == nullptr) {
    return refused(base, "nanoaccel's operators need ONNX Runtime 1." +
                             std::to_string(kApiVersion) + ", this is " + base->version());
  }
  if (nanoaccel::chosen_path() == nullptr) {
    return refused(base, std::string("NANOACCEL_ISA=") + std::getenv("NANOACCEL_ISA") +
                             " does not run on this CPU");
  }
  return guarded(*api, [&] { check(api->add_domain(options, domain(*api))); });
}
