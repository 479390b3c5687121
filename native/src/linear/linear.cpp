#include "linear/linear.h"

#include <vector>

#include "linear/phases.h"

namespace nanoaccel {
namespace {

constexpr int64_t kMostRows = 1024;       // at a time; bounds the memory for activations
constexpr int64_t kRowsApart = 32;        // fewer rows are not divided between threads
constexpr int64_t kSerialNumbers = 8192;  // fewer are quantized faster than threads are woken

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
  const LinearCall& call;
  ActivationView activations;
  OutputView output;
  Division division;
  RowUpdates updates;

  void prepare(Range rows) const {
    kernels.quantize(weights, call.norm, call.x, activations, rows);
  }
  void multiply(Range rows, Range units) const {
    kernels.multiply(weights, activations, output, rows, units);
  }
};

void run_rows(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
              Pool& pool, int64_t parts) {
  static thread_local Scratch scratch;
  const LinearView& view = weights.view();
  Work work = {kernels,
               view,
               call,
               scratch.view(view, call.rows),
               output_of(call, weights),
               {call.rows, kernels.row_block, view.units},
               RowUpdates(call, view.inputs, view.units)};
  run_phases(&work, pool, parts, call.rows * view.inputs > kSerialNumbers, kRowsApart);
}

}  // namespace

void run_linear(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
                Pool& pool, int64_t parts) {
  in_pieces(call, weights, kMostRows,
            [&](const LinearCall& some) { run_rows(kernels, weights, some, pool, parts); });
}

}  // namespace nanoaccel
