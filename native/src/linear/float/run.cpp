#include "linear/float/run.h"

#include <vector>

#include "linear/phases.h"

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

  void prepare(Range rows) const { kernels.prepare(weights, call.norm, call.x, x, rows); }
  void multiply(Range rows, Range units) const {
    kernels.multiply(weights, x, output, rows, units);
  }
};

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
  run_phases(&work, pool, parts, call.rows * view.inputs > kSerialNumbers, kRowsApart);
}

}  // namespace

void run_float_linear(const FloatKernels& kernels, const FloatWeights& weights,
                      const LinearCall& call, Pool& pool, int64_t parts) {
  in_pieces(call, weights, kMostRows,
            [&](const LinearCall& some) { run_rows(kernels, weights, some, pool, parts); });
}

}  // namespace nanoaccel
