#include "linear/linear.h"

#include <algorithm>
#include <vector>

namespace nanoaccel {
namespace {

constexpr int64_t kMostRows = 1024;        // at a time; bounds the memory for activations
constexpr int64_t kRowsApart = 32;         // fewer rows are not divided between threads
constexpr int64_t kSerialNumbers = 32768;  // fewer are quantized faster than threads are woken

// Activations of the calling thread; it grows, and never shrinks.
struct Scratch {
  std::vector<int8_t> codes;
  std::vector<float> scales;
  std::vector<uint32_t> starts;

  ActivationView view(const LinearView& w, int64_t rows) {
    const int64_t padded = w.groups * w.group;
    grow(codes, rows * padded);
    grow(scales, rows * w.groups);
    grow(starts, rows * w.groups);
    return {rows, w.groups, padded, codes.data(), scales.data(), starts.data()};
  }

  template <class T>
  static void grow(std::vector<T>& memory, int64_t size) {
    if (memory.size() < static_cast<size_t>(size)) memory.resize(static_cast<size_t>(size));
  }
};

struct Work {
  const LinearKernels& kernels;
  const LinearView& weights;
  const NormView& norm;
  const float* x;
  ActivationView activations;
  OutputView output;
  int64_t rows;
  int64_t row_parts;
  int64_t unit_parts;
  int64_t units;
};

Range part_of(int64_t size, int64_t index, int64_t parts) {
  return {size * index / parts, size * (index + 1) / parts};
}

// A part of the rows, in whole blocks.
Range rows_of(const Work& work, int64_t index) {
  const int64_t block = work.kernels.row_block;
  const Range blocks = part_of((work.rows + block - 1) / block, index, work.row_parts);
  return {blocks.begin * block, std::min(blocks.end * block, work.rows)};
}

void quantize_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  work.kernels.quantize(work.weights, work.norm, work.x, work.activations,
                        rows_of(work, static_cast<int64_t>(index)));
}

void multiply_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const auto part = static_cast<int64_t>(index);
  work.kernels.multiply(work.weights, work.activations, work.output,
                        rows_of(work, part % work.row_parts),
                        part_of(work.units, part / work.row_parts, work.unit_parts));
}

void run_rows(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
              Pool& pool, int64_t parts) {
  static thread_local Scratch scratch;
  const LinearView& view = weights.view();
  const OutputView output = {call.y,        weights.outputs(), weights.bias(),
                             call.residual, call.activation,   weights.gated()};
  Work work = {kernels, view,      call.norm, call.x, scratch.view(view, call.rows),
               output,  call.rows, 1,         1,      view.units};
  if (call.rows * view.inputs > kSerialNumbers) {
    work.row_parts = std::min(parts, call.rows);
    pool.run(quantize_part, static_cast<size_t>(work.row_parts), &work);
  } else {
    quantize_part(&work, 0);
  }
  work.unit_parts = std::min(parts, work.units);
  const int64_t wanted = (parts + work.unit_parts - 1) / work.unit_parts;
  work.row_parts = std::max<int64_t>(1, std::min(wanted, call.rows / kRowsApart));
  pool.run(multiply_part, static_cast<size_t>(work.row_parts * work.unit_parts), &work);
}

}  // namespace

void run_linear(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
                Pool& pool, int64_t parts) {
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
