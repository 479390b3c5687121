#include "linear/linear.h"

#include <vector>

#include "linear/division.h"
#include "low_rank/row_updates.h"
#include "parallel/serial_pool.h"

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
};

// Quantizes a part of the rows, or makes hidden numbers of updates.
void prepare_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const size_t parts = work.division.parts();
  if (index >= parts) return work.updates.make(index - parts);
  work.kernels.quantize(work.weights, work.call.norm, work.call.x, work.activations,
                        work.division.rows_of(index));
}

void multiply_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  work.kernels.multiply(work.weights, work.activations, work.output, work.division.rows_of(index),
                        work.division.units_of(index));
}

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

void run_linear(const LinearKernels& kernels, const PackedWeights& weights, const LinearCall& call,
                Pool& pool, int64_t parts) {
  in_pieces(call, weights, kMostRows,
            [&](const LinearCall& some) { run_rows(kernels, weights, some, pool, parts); });
}

}  // namespace nanoaccel
