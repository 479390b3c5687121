#include "float_exports.h"

#include "around.h"
#include "isa/path.h"
#include "linear/float/run.h"
#include "packing.h"
#include "parallel/serial_pool.h"

namespace {

nanoaccel::FloatSource read(const NanoaccelFloatSource& given) {
  nanoaccel::FloatSource source;
  source.inputs = given.inputs;
  source.outputs = given.outputs;
  source.stored = static_cast<nanoaccel::Stored>(given.stored);
  source.rows = given.rows != 0;
  source.bits = given.bits;
  source.group = given.group;
  source.gated = given.gated != 0;
  source.values = {given.matrix.codes, given.matrix.codes_size};
  nanoaccel::read_numbers(given.matrix, &source);
  return source;
}

}  // namespace

void* nanoaccel_float_pack(const NanoaccelFloatSource* source, char* problem,
                           int64_t problem_size) {
  return nanoaccel::packed<nanoaccel::FloatWeights>(read(*source), problem, problem_size);
}

void nanoaccel_float_free(void* weights) { delete static_cast<nanoaccel::FloatWeights*>(weights); }

int64_t nanoaccel_float_format(const void* weights) {
  return static_cast<int64_t>(static_cast<const nanoaccel::FloatWeights*>(weights)->view().format);
}

int nanoaccel_float_run(const void* weights, const char* path, const float* x, int64_t rows,
                        const NanoaccelAround* around, float* y, int64_t parts) {
  const nanoaccel::Path* found = nanoaccel::find_path(path);
  if (found == nullptr) return 0;
  nanoaccel::SerialPool pool;
  nanoaccel::run_float_linear(found->float_linear,
                              *static_cast<const nanoaccel::FloatWeights*>(weights),
                              nanoaccel::call_of(*around, x, rows, y), pool, parts);
  return 1;
}
