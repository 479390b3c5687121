#include "ort/tensor.h"

#include <memory>

namespace nanoaccel::ort {

int64_t integer(const Api& api, const KernelInfo* info, const char* attribute) {
  int64_t value = 0;
  check(api.attribute_int(info, attribute, &value));
  return value;
}

float real(const Api& api, const KernelInfo* info, const char* attribute) {
  float value = 0.0F;
  check(api.attribute_float(info, attribute, &value));
  return value;
}

Tensor read_tensor(const Api& api, const Value* value) {
  Tensor tensor;
  if (value == nullptr) throw std::invalid_argument("an input is missing");
  ShapeInfo* info = nullptr;
  check(api.shape(value, &info));
  const std::unique_ptr<ShapeInfo, void (*)(ShapeInfo*)> owned(info, api.release_shape);
  size_t dimensions = 0;
  check(api.dimension_count(info, &dimensions));
  tensor.shape.resize(dimensions);
  check(api.dimensions(info, tensor.shape.data(), dimensions));
  check(api.element_type(info, &tensor.type));
  check(api.tensor_data(const_cast<Value*>(value), &tensor.data));
  return tensor;
}

std::string name_of_input(const Api& api, const KernelInfo* info, size_t index) {
  size_t size = 0;  // with the final zero
  check(api.input_name(info, index, nullptr, &size));
  std::string name(size, '\0');
  check(api.input_name(info, index, name.data(), &size));
  name.resize(size > 0 ? size - 1 : 0);
  return name;
}

bool is_given(const Api& api, const KernelInfo* info, size_t index) {
  size_t count = 0;
  check(api.input_count(info, &count));
  return index < count && !name_of_input(api, info, index).empty();
}

Tensor constant_tensor(const Api& api, const KernelInfo* info, size_t index, const char* name) {
  int constant = 0;
  const Value* value = nullptr;
  check(api.constant_input(info, index, &constant, &value));
  if (constant == 0) throw std::invalid_argument(std::string(name) + " is no initializer");
  return read_tensor(api, value);
}

Tensor input_tensor(const Api& api, const KernelContext* context, size_t index) {
  const Value* value = nullptr;
  check(api.input(context, index, &value));
  return read_tensor(api, value);
}

}  // namespace nanoaccel::ort
