#include "linear/float/run.h"

#include <algorithm>
#include <vector>

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
  int64_t row_parts;
  int64_t unit_parts;
};

Range part_of(int64_t size, int64_t index, int64_t parts) {
  return {size * index / parts, size * (index + 1) / parts};
}

// A part of the rows, in whole blocks.
Range rows_of(const Work& work, int64_t index) {
  const int64_t block = work.kernels.row_block;
  const Range blocks = part_of((work.call.rows + block - 1) / block, index, work.row_parts);
  return {blocks.begin * block, std::min(blocks.end * block, work.call.rows)};
}

void prepare_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  work.kernels.prepare(work.weights, work.call.norm, work.call.x, work.x,
                       rows_of(work, static_cast<int64_t>(index)));
}

void multiply_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const auto part = static_cast<int64_t>(index);
  work.kernels.multiply(work.weights, work.x, work.output, rows_of(work, part % work.row_parts),
                        part_of(work.weights.units, part / work.row_parts, work.unit_parts));
}

void run_rows(const FloatKernels& kernels, const FloatWeights& weights, const LinearCall& call,
              Pool& pool, int64_t parts) {
  static thread_local std::vector<float> scratch;  // it grows, and never shrinks
  const FloatView& view = weights.view();
  const auto numbers = static_cast<size_t>(call.rows * view.padded);
  if (scratch.size() < numbers) scratch.resize(numbers);
  const OutputView output = {call.y,        weights.outputs(), weights.bias(),
                             call.residual, call.activation,   weights.gated()};
  Work work = {kernels, view, call, {call.rows, view.padded, scratch.data()}, output, 1, 1};
  if (call.rows * view.inputs > kSerialNumbers) {
    work.row_parts = std::min(parts, call.rows);
    pool.run(prepare_part, static_cast<size_t>(work.row_parts), &work);
  } else {
    prepare_part(&work, 0);
  }
  work.unit_parts = std::min(parts, view.units);
  const int64_t wanted = (parts + work.unit_parts - 1) / work.unit_parts;
  work.row_parts = std::max<int64_t>(1, std::min(wanted, call.rows / kRowsApart));
  pool.run(multiply_part, static_cast<size_t>(work.row_parts * work.unit_parts), &work);
}

}  // namespace

void run_float_linear(const FloatKernels& kernels, const FloatWeights& weights,
                      const LinearCall& call, Pool& pool, int64_t parts) {
  for (int64_t begin = 0; begin < call.rows; begin += kMostRows) {
    LinearCall some = call;
    some.rows = std::min(kMostRows, call.rows - begin);
    some.x += begin * weights.view().inputs;
    some.y += begin * weights.outputs();
    if (some.residual != nullptr) some.residual += begin * weights.outputs();
    run_rows(kernels, weights, some, pool, parts);
  }
}

}  // namespace nanoaccel
