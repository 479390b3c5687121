#include "experts_exports.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "experts/expert_weights.h"
#include "experts/experts.h"
#include "isa/path.h"
#include "parallel/serial_pool.h"

namespace {

nanoaccel::ProjectionSource read(const NanoaccelProjection& given) {
  nanoaccel::ProjectionSource source;
  source.codes = {given.codes, given.codes_size};
  if (given.scales_half != 0) {
    source.half_scales = {static_cast<const uint16_t*>(given.scales), given.scales_size};
  } else {
    source.scales = {static_cast<const float*>(given.scales), given.scales_size};
  }
  source.zeros = {given.zeros, given.zeros_size};
  source.bias = {given.bias, given.bias_size};
  return source;
}

}  // namespace

void* nanoaccel_experts_pack(const NanoaccelExpertsSource* source, char* problem,
                             int64_t problem_size) {
  std::string found;
  try {
    auto weights = std::make_unique<nanoaccel::ExpertWeights>();
    found = weights->pack({source->experts, source->hidden, source->inner, source->bits,
                           source->group, read(source->gate_up), read(source->down)});
    if (found.empty()) return weights.release();
  } catch (const std::exception& error) {
    found = error.what();
  }
  std::snprintf(problem, static_cast<size_t>(problem_size), "%s", found.c_str());
  return nullptr;
}

void nanoaccel_experts_free(void* weights) {
  delete static_cast<nanoaccel::ExpertWeights*>(weights);
}

int nanoaccel_experts_run(const void* weights, const char* path, const NanoaccelExpertsCall* call,
                          int64_t parts) {
  const nanoaccel::Path* found = nanoaccel::find_path(path);
  if (found == nullptr) return 0;
  nanoaccel::SerialPool pool;
  nanoaccel::run_experts(found->linear, found->experts,
                         *static_cast<const nanoaccel::ExpertWeights*>(weights),
                         {call->x,
                          call->logits,
                          call->y,
                          call->rows,
                          call->top_k,
                          {call->alpha, call->beta, call->limit}},
                         pool, parts);
  return 1;
}
