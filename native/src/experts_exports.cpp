#include "experts_exports.h"

#include "experts/expert_weights.h"
#include "experts/experts.h"
#include "isa/path.h"
#include "packing.h"
#include "parallel/serial_pool.h"

namespace {

nanoaccel::ProjectionSource read(const NanoaccelMatrix& given) {
  nanoaccel::ProjectionSource source;
  source.codes = {given.codes, given.codes_size};
  nanoaccel::read_numbers(given, &source);
  source.factors = {given.factors, given.factors_size};
  return source;
}

}  // namespace

void* nanoaccel_experts_pack(const NanoaccelExpertsSource* source, char* problem,
                             int64_t problem_size) {
  nanoaccel::ExpertsSource given;
  given.experts = source->experts;
  given.hidden = source->hidden;
  given.inner = source->inner;
  given.bits = source->bits;
  given.group = source->group;
  given.gate_up = read(source->gate_up);
  given.down = read(source->down);
  return nanoaccel::packed<nanoaccel::ExpertWeights>(given, problem, problem_size);
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
                          {call->alpha, call->beta, call->limit, nanoaccel::Activation::kSilu},
                          false},
                         pool, parts);
  return 1;
}
