// Runs a mixture of experts over some rows, on the threads of a pool.
#pragma once

#include <cstdint>

#include "experts/expert_weights.h"
#include "experts/kernels.h"
#include "linear/kernels.h"
#include "parallel/pool.h"

namespace nanoaccel {

struct ExpertsCall {
  const float* x;       // [rows][hidden]
  const float* logits;  // [rows][experts], of the router; or shares
  float* y;             // [rows][hidden]
  int64_t rows;
  int64_t top_k;  // 1 to the number of experts
  GatedUnit unit;
  bool shares;  // whether logits are shares
};

// Only the weights of chosen experts are read. The result for a row does not depend on the other
// rows, nor on ``parts``.
void run_experts(const LinearKernels& linear, const ExpertKernels& kernels,
                 const ExpertWeights& weights, const ExpertsCall& call, Pool& pool, int64_t parts);

// The same without rounding activations.
void run_experts(const FloatKernels& linear, const ExpertKernels& kernels,
                 const FloatExpertWeights& weights, const ExpertsCall& call, Pool& pool,
                 int64_t parts);

}  // namespace nanoaccel
