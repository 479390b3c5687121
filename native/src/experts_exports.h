// The mixture of experts for tests and benchmarks, without ONNX Runtime.
#pragma once

#include <cstdint>

#include "export.h"
#include "matrix_exports.h"

extern "C" {

struct NanoaccelExpertsSource {
  int64_t experts, hidden, inner, bits, group;
  NanoaccelMatrix gate_up, down;
};

// The experts packed, to be freed; nullptr, and why in ``problem``, when the source is malformed.
NANOACCEL_EXPORT void* nanoaccel_experts_pack(const NanoaccelExpertsSource* source, char* problem,
                                              int64_t problem_size);
NANOACCEL_EXPORT void nanoaccel_experts_free(void* weights);

struct NanoaccelExpertsCall {
  const float *x, *logits;
  float* y;
  int64_t rows, top_k;
  float alpha, beta, limit;
};

// Runs on the calling thread, in ``parts`` parts, the last one first. False for an unknown path.
NANOACCEL_EXPORT int nanoaccel_experts_run(const void* weights, const char* path,
                                           const NanoaccelExpertsCall* call, int64_t parts);
}
