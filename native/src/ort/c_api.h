// The part of ONNX Runtime's C ABI that is used here.
//
// The runtime hands out a struct of function pointers that only ever grows at its end, so each
// function stands at a fixed index for good. GetApi gives nullptr for a version that the runtime
// is too old for. https://onnxruntime.ai/docs/api/c/
#pragma once

#include <cstddef>
#include <cstdint>

namespace nanoaccel::ort {

constexpr uint32_t kApiVersion = 18;  // the first with all that is used, and with this OrtCustomOp

struct Status;
struct Value;
struct ShapeInfo;
struct SessionOptions;
struct Domain;
struct KernelInfo;
struct KernelContext;
struct CustomOp;

enum class ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum class ElementType : int {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt32 = 6,
  kInt64 = 7,
  kFloat16 = 10,
  kDouble = 11,
  kBfloat16 = 16
};
enum class Presence : int { kRequired = 0, kOptional = 1 };

template <int Count>
using Skipped = void* [Count];

struct Api {
  Status* (*create_status)(ErrorCode code, const char* message);  // 0
  Skipped<25> skipped_1;
  Status* (*create_domain)(const char* name, Domain** out);        // 26
  Status* (*domain_add)(Domain* domain, const CustomOp* op);       // 27
  Status* (*add_domain)(SessionOptions* options, Domain* domain);  // 28
  Skipped<22> skipped_29;
  Status* (*tensor_data)(Value* value, void** out);  // 51
  Skipped<8> skipped_52;
  Status* (*element_type)(const ShapeInfo* info, ElementType* out);          // 60
  Status* (*dimension_count)(const ShapeInfo* info, size_t* out);            // 61
  Status* (*dimensions)(const ShapeInfo* info, int64_t* out, size_t count);  // 62
  Skipped<1> skipped_63;
  Status* (*element_count)(const ShapeInfo* info, size_t* out);  // 64
  Status* (*shape)(const Value* value, ShapeInfo** out);         // 65
  Skipped<19> skipped_66;
  Status* (*attribute_float)(const KernelInfo* info, const char* name, float* out);  // 85
  Status* (*attribute_int)(const KernelInfo* info, const char* name, int64_t* out);  // 86
  Skipped<3> skipped_87;
  Status* (*input)(const KernelContext* context, size_t index, const Value** out);  // 90
  Status* (*output)(KernelContext* context, size_t index, const int64_t* dimensions, size_t count,
                    Value** out);  // 91
  Skipped<1> skipped_92;
  void (*release_status)(Status* status);  // 93
  Skipped<5> skipped_94;
  void (*release_shape)(ShapeInfo* info);  // 99
  Skipped<130> skipped_100;
  Status* (*input_count)(const KernelInfo* info, size_t* out);  // 230
  Skipped<1> skipped_231;
  Status* (*input_name)(const KernelInfo* info, size_t index, char* out, size_t* size);  // 232
  Skipped<16> skipped_233;
  Status* (*constant_input)(const KernelInfo* info, size_t index, int* constant,
                            const Value** out);  // 249
  Skipped<24> skipped_250;
  Status* (*parallel_for)(const KernelContext* context, void (*part)(void* work, size_t index),
                          size_t parts, size_t batches, void* work);  // 274
};

#define NANOACCEL_AT(member, index) \
  static_assert(offsetof(Api, member) == (index) * sizeof(void*), "the ABI has it elsewhere")
NANOACCEL_AT(create_domain, 26);
NANOACCEL_AT(tensor_data, 51);
NANOACCEL_AT(element_type, 60);
NANOACCEL_AT(shape, 65);
NANOACCEL_AT(attribute_int, 86);
NANOACCEL_AT(output, 91);
NANOACCEL_AT(release_status, 93);
NANOACCEL_AT(release_shape, 99);
NANOACCEL_AT(input_name, 232);
NANOACCEL_AT(constant_input, 249);
NANOACCEL_AT(parallel_for, 274);
#undef NANOACCEL_AT

struct ApiBase {
  const Api* (*get_api)(uint32_t version);
  const char* (*version)();
};

// An operator: its schema and its kernel. ``version`` says which members the runtime may read.
struct CustomOp {
  uint32_t version;
  void* (*create_kernel_1)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  ElementType (*input_type)(const CustomOp*, size_t index);
  size_t (*input_count)(const CustomOp*);
  ElementType (*output_type)(const CustomOp*, size_t index);
  size_t (*output_count)(const CustomOp*);
  void (*compute_1)(void* kernel, KernelContext*);
  void (*destroy)(void* kernel);
  Presence (*input_presence)(const CustomOp*, size_t index);
  Presence (*output_presence)(const CustomOp*, size_t index);
  int (*input_memory)(const CustomOp*, size_t index);
  int (*variadic_input_minimum)(const CustomOp*);
  int (*variadic_input_alike)(const CustomOp*);
  int (*variadic_output_minimum)(const CustomOp*);
  int (*variadic_output_alike)(const CustomOp*);
  Status* (*create)(const CustomOp*, const Api*, const KernelInfo*, void** kernel);
  Status* (*compute)(void* kernel, KernelContext*);
  Status* (*infer_shapes)(const CustomOp*, void* context);
  int (*first_version)(const CustomOp*);
  int (*last_version)(const CustomOp*);
  size_t (*may_inplace)(int** inputs, int** outputs);
  void (*release_may_inplace)(int* inputs, int* outputs);
  size_t (*aliases)(int** inputs, int** outputs);
  void (*release_aliases)(int* inputs, int* outputs);
};

}  // namespace nanoaccel::ort
