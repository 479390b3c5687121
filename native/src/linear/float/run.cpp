#include "linear/float/run.h"

#include <vector>

#include "linear/division.h"
#include "low_rank/row_updates.h"
#include "parallel/serial_pool.h"

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
  RowUpdates updates;
};

// Prepares a part of the rows, or makes hidden numbers of updates.
void prepare_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const size_t parts = work.division.parts();
  if (index >= parts) return work.updates.make(index - parts);
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
               {call.rows, kernels.row_block, view.units},
               RowUpdates(call, view.inputs, view.units)};
  const bool many = call.rows * view.inputs > kSerialNumbers;
  if (many) work.division.into_rows(parts);
  SerialPool alone;
  Pool& chosen = many || work.updates.many() ? pool : alone;
  chosen.run(prepare_part, work.division.parts() + work.updates.items(), &work);
  work.output.updates = work.updates.rows();
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
