#include "linear/float/run.h"

#include <vector>

#include "linear/division.h"
#include "low_rank/row_updates.h"

namespace nanoaccel {
namespace {

constexpr int64_t kMostRows = 512;         // at a time; bounds the memory for activations
constexpr int64_t kRowsApart = 128;        // fewer rows are not divided between threads
constexpr int64_t kSerialNumbers = 65536;  // fewer are copied faster than threads are woken

struct Work {
  const FloatKernels& kernels;
  const FloatView& weights;
  const LinearCall& call;
  FloatRows x;
  OutputView output;
  Division division;
};

void prepare_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  work.kernels.prepare(work.weights, work.call.norm, work.call.x, work.x,
                       work.division.rows_of(index));
}

void multiply_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  work.kernels.multiply(work.weights, work.x, work.output, work.division.rows_of(index),
                        work.division.units_of(index));
}

void run_rows(const FloatKernels& kernels, const FloatWeights& weights, const LinearCall& call,
              Pool& pool, int64_t parts) {
  static thread_local std::vector<float> scratch;  // it grows, and never shrinks
  const FloatView& view = weights.view();
  const auto numbers = static_cast<size_t>(call.rows * view.padded);
  if (scratch.size() < numbers) scratch.resize(numbers);
  Work work = {kernels,
               view,
               call,
               {call.rows, view.padded, scratch.data()},
               output_of(call, weights),
               {call.rows, kernels.row_block, view.units}};
  if (call.rows * view.inputs > kSerialNumbers) {
    work.division.into_rows(parts);
    pool.run(prepare_part, work.division.parts(), &work);
  } else {
    prepare_part(&work, 0);
  }
  RowUpdates updates(call, view.inputs, view.units);
  work.output.updates = updates.prepare(pool, parts);
  work.division.into_units(parts, kRowsApart);
  pool.run(multiply_part, work.division.parts(), &work);
}

}  // namespace

void run_float_linear(const FloatKernels& kernels, const FloatWeights& weights,
                      const LinearCall& call, Pool& pool, int64_t parts) {
  in_pieces(call, weights, kMostRows,
            [&](const LinearCall& some) { run_rows(kernels, weights, some, pool, parts); });
}

}  // namespace nanoaccel
