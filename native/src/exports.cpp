#include "exports.h"

#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "around.h"
#include "isa/path.h"
#include "linear/linear.h"
#include "linear/weights.h"
#include "parallel/serial_pool.h"

namespace {

nanoaccel::LinearSource read(const NanoaccelLinearSource& given) {
  nanoaccel::LinearSource source;
  source.inputs = given.inputs;
  source.outputs = given.outputs;
  source.bits = given.bits;
  source.group = given.group;
  source.gated = given.gated != 0;
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
  std::string found;
  try {
    auto weights = std::make_unique<nanoaccel::PackedWeights>();
    found = weights->pack(read(*source));
    if (found.empty()) return weights.release();
  } catch (const std::exception& error) {
    found = error.what();
  }
  std::snprintf(problem, static_cast<size_t>(problem_size), "%s", found.c_str());
  return nullptr;
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
