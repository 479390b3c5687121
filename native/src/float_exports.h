// The float linear without ONNX Runtime, for tests and benchmarks. Plain C types only.
#pragma once

#include <cstdint>

#include "export.h"
#include "exports.h"
#include "matrix_exports.h"

extern "C" {

struct NanoaccelFloatSource {
  int64_t inputs, outputs, stored, rows, bits, group, gated;
  NanoaccelMatrix matrix;
};

// A packed matrix, to be freed; nullptr, and why in ``problem``, when the source is malformed.
NANOACCEL_EXPORT void* nanoaccel_float_pack(const NanoaccelFloatSource* source, char* problem,
                                            int64_t problem_size);
NANOACCEL_EXPORT void nanoaccel_float_free(void* weights);

// The format of a packed matrix, as linear/float/kernels.h numbers them.
NANOACCEL_EXPORT int64_t nanoaccel_float_format(const void* weights);

// As nanoaccel_linear_run.
NANOACCEL_EXPORT int nanoaccel_float_run(const void* weights, const char* path, const float* x,
                                         int64_t rows, const NanoaccelAround* around, float* y,
                                         int64_t parts);
}
