#include "exports.h"

#include <string>

#include "around.h"
#include "isa/path.h"
#include "linear/linear.h"
#include "linear/weights.h"
#include "packing.h"
#include "parallel/serial_pool.h"

namespace {

nanoaccel::LinearSource read(const NanoaccelLinearSource& given) {
  nanoaccel::LinearSource source;
  source.inputs = given.inputs;
  source.outputs = given.outputs;
  source.bits = given.bits;
  source.group = given.group;
  source.gated = given.gated != 0;
  source.codes = {given.matrix.codes, given.matrix.codes_size};
  nanoaccel::read_numbers(given.matrix, &source);
  if (given.matrix.factors_size > 0) source.factor = given.matrix.factors[0];
  return source;
}

}  // namespace

const char* nanoaccel_paths() {
  static const std::string names = [] {
    std::string all;
    for (const nanoaccel::Path* path : nanoaccel::runnable_paths()) {
      if (!all.empty()) all += ' ';
      all += path->name;
    }
    return all;
  }();
  return names.c_str();
}

void* nanoaccel_linear_pack(const NanoaccelLinearSource* source, char* problem,
                            int64_t problem_size) {
  return nanoaccel::packed<nanoaccel::PackedWeights>(read(*source), problem, problem_size);
}

void nanoaccel_linear_free(void* weights) {
  delete static_cast<nanoaccel::PackedWeights*>(weights);
}

int nanoaccel_linear_run(const void* weights, const char* path, const float* x, int64_t rows,
                         const NanoaccelAround* around, float* y, int64_t parts) {
  const nanoaccel::Path* found = nanoaccel::find_path(path);
  if (found == nullptr) return 0;
  nanoaccel::SerialPool pool;
  nanoaccel::run_linear(found->linear, *static_cast<const nanoaccel::PackedWeights*>(weights),
                        nanoaccel::call_of(*around, x, rows, y), pool, parts);
  return 1;
}

int64_t nanoaccel_multiply_peak(const char* path, int64_t rounds) {
  const nanoaccel::Path* found = nanoaccel::find_path(path);
  return found == nullptr ? 0 : found->linear.multiply_peak(rounds);
}
