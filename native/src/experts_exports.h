// The mixture of experts for tests and benchmarks, without ONNX Runtime.
#pragma once

#include <cstdint>

#include "export.h"

extern "C" {

struct NanoaccelProjection {
  const uint8_t* codes;
  int64_t codes_size;
  const void* scales;
  int64_t scales_size, scales_half;
  const uint8_t* zeros;
  int64_t zeros_size;
  const float* bias;
  int64_t bias_size;
};

struct NanoaccelExpertsSource {
  int64_t experts, hidden, inner, bits, group;
  NanoaccelProjection gate_up, down;
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
