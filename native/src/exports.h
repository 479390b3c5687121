// What Python calls without ONNX Runtime: which paths there are, and, for tests and benchmarks,
// the kernels themselves. Plain C types only.
#pragma once

#include <cstdint>

#include "export.h"
#include "matrix_exports.h"

extern "C" {

// Names of the paths that this CPU runs, the fastest first, separated by spaces.
NANOACCEL_EXPORT const char* nanoaccel_paths();

struct NanoaccelLinearSource {
  int64_t inputs, outputs, bits, group, gated;
  NanoaccelMatrix matrix;
};

// What is done around a product: a norm of the input (weights of K numbers, or none), which may
// subtract the mean, an activation as kernels.h numbers them, and a sum.
struct NanoaccelAround {
  const float* norm;
  const float* norm_bias;
  const float* residual;
  int64_t centered;
  int64_t activation;
  float epsilon;
};

// A packed matrix, to be freed; nullptr, and why in ``problem``, when the source is malformed.
NANOACCEL_EXPORT void* nanoaccel_linear_pack(const NanoaccelLinearSource* source, char* problem,
                                             int64_t problem_size);
NANOACCEL_EXPORT void nanoaccel_linear_free(void* weights);

// Runs on the calling thread, in ``parts`` parts, the last one first. False for an unknown path.
NANOACCEL_EXPORT int nanoaccel_linear_run(const void* weights, const char* path, const float* x,
                                          int64_t rows, const NanoaccelAround* around, float* y,
                                          int64_t parts);

// Multiplies int8 on the calling thread as fast as a path can; gives how many products that were,
// 0 for an unknown path.
NANOACCEL_EXPORT int64_t nanoaccel_multiply_peak(const char* path, int64_t rounds);
}
