// Tensors of ONNX Runtime as this library reads them; errors are thrown and become a status.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort/c_api.h"

namespace nanoaccel::ort {

// A status of the runtime on its way back to it.
struct StatusError {
  Status* status;
};

inline void check(Status* status) {
  if (status != nullptr) throw StatusError{status};
}

struct Tensor {
  void* data = nullptr;
  ElementType type = ElementType::kUndefined;
  std::vector<int64_t> shape;

  int64_t size() const {
    int64_t count = 1;
    for (const int64_t dimension : shape) count *= dimension;
    return count;
  }
};

int64_t integer(const Api& api, const KernelInfo* info, const char* attribute);
float real(const Api& api, const KernelInfo* info, const char* attribute);
Tensor read_tensor(const Api& api, const Value* value);
std::string name_of_input(const Api& api, const KernelInfo* info, size_t index);
bool is_given(const Api& api, const KernelInfo* info, size_t index);
Tensor constant_tensor(const Api& api, const KernelInfo* info, size_t index, const char* name);
Tensor input_tensor(const Api& api, const KernelContext* context, size_t index);

// Runs a function that may throw; what it threw as a status.
template <class Function>
Status* guarded(const Api& api, Function function) noexcept {
  try {
    function();
    return nullptr;
  } catch (const StatusError& error) {
    return error.status;
  } catch (const std::exception& error) {
    return api.create_status(ErrorCode::kInvalidArgument, error.what());
  } catch (...) {
    return api.create_status(ErrorCode::kFail, "nanoaccel: unknown error");
  }
}

}  // namespace nanoaccel::ort
