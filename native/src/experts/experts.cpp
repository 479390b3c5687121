#include "experts/experts.h"

#include <algorithm>
#include <vector>

#include "experts/activations.h"
#include "experts/slots.h"
#include "linear/division.h"

namespace nanoaccel {
namespace {

constexpr int64_t kMostSlots = 4096;       // at a time; bounds the memory between the linears
constexpr int64_t kSerialNumbers = 16384;  // fewer are computed faster than threads are woken

// What differs between linears: those that round their inputs, and those that do not.
struct Rounded {
  using Kernels = LinearKernels;
  using View = LinearView;
  using Weights = ExpertWeights;
  using Inputs = Activations;

  static void prepare(const Kernels& linear, const View& view, const float* x,
                      const ActivationView& to, Range rows) {
    linear.quantize(view, {}, x, to, rows);
  }
};

struct Exact {
  using Kernels = FloatKernels;
  using View = FloatView;
  using Weights = FloatExpertWeights;
  using Inputs = FloatActivations;

  static void prepare(const Kernels& linear, const View& view, const float* x, const FloatRows& to,
                      Range rows) {
    linear.prepare(view, {}, x, to, rows);
  }
};

// What lies between the steps, of the calling thread; it grows, and never shrinks.
template <class Kind>
struct Scratch {
  std::vector<int32_t> chosen;
  std::vector<float> shares;
  Slots slots;
  typename Kind::Inputs tokens;  // x, row by row
  typename Kind::Inputs inputs;  // x, slot by slot
  typename Kind::Inputs inners;  // what the gates give, slot by slot
  std::vector<float> gate_up;    // [slot][2 * inner], or [slot][inner]
  std::vector<float> outputs;    // [slot][inner], then [slot][hidden]
};

template <class Kind>
struct Work {
  const typename Kind::Kernels& linear;
  const ExpertKernels& kernels;
  const typename Kind::Weights& weights;
  const ExpertsCall& call;
  Scratch<Kind>& scratch;
  RoutingView routing;
  const UnitParts* units;
  int64_t parts;  // of rows or slots
};

// Routes tokens and quantizes them.
template <class Kind>
void read_tokens(void* memory, size_t index) {
  Work<Kind>& work = *static_cast<Work<Kind>*>(memory);
  const typename Kind::View& view = work.weights.gate_up().front().view();
  const Range rows = part_of(work.call.rows, static_cast<int64_t>(index), work.parts);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    work.kernels.choose(work.call.logits + row * work.routing.experts, work.routing, row);
    Kind::prepare(work.linear, view, work.call.x + row * view.inputs, work.scratch.tokens.row(row),
                  {0, 1});
  }
}

template <class Kind>
void gather_tokens(void* memory, size_t index) {
  Work<Kind>& work = *static_cast<Work<Kind>*>(memory);
  const Slots& slots = work.scratch.slots;
  const Range range = part_of(slots.size(), static_cast<int64_t>(index), work.parts);
  for (int64_t slot = range.begin; slot < range.end; ++slot) {
    const Range own = slots.of(slots.expert(slot));
    gather_row(work.scratch.tokens.row(slots.row(slot)), work.scratch.inputs.rows(own),
               slot - own.begin, work.linear.row_block);
  }
}

// One linear of the experts that a part of the units belongs to.
template <class Kind, class Packed>
void multiply(const Work<Kind>& work, size_t index, const std::vector<Packed>& all,
              const typename Kind::Inputs& inputs, float* y) {
  work.units->each(static_cast<int64_t>(index), [&](const UnitParts::Piece& piece) {
    const Packed& weights = all[static_cast<size_t>(piece.expert)];
    const Range own = work.scratch.slots.of(piece.expert);
    OutputView output = {};
    output.width = weights.outputs();
    output.y = y + own.begin * output.width;
    output.bias = weights.bias();
    work.linear.multiply(weights.view(), inputs.rows(own), output, {0, own.end - own.begin},
                         piece.units);
  });
}

template <class Kind>
void multiply_gate_up(void* memory, size_t index) {
  const Work<Kind>& work = *static_cast<Work<Kind>*>(memory);
  multiply(work, index, work.weights.gate_up(), work.scratch.inputs, work.scratch.gate_up.data());
}

template <class Kind>
void multiply_down(void* memory, size_t index) {
  const Work<Kind>& work = *static_cast<Work<Kind>*>(memory);
  multiply(work, index, work.weights.down(), work.scratch.inners, work.scratch.outputs.data());
}

// The input of the second linears.
template <class Kind>
void gate_slots(void* memory, size_t index) {
  Work<Kind>& work = *static_cast<Work<Kind>*>(memory);
  const typename Kind::View& view = work.weights.down().front().view();
  const int64_t width = work.weights.gate_up().front().outputs();
  const Slots& slots = work.scratch.slots;
  const Range range = part_of(slots.size(), static_cast<int64_t>(index), work.parts);
  for (int64_t slot = range.begin; slot < range.end; ++slot) {
    const Range own = slots.of(slots.expert(slot));
    float* inner = work.scratch.outputs.data() + slot * view.inputs;
    work.kernels.gate(work.call.unit, work.scratch.gate_up.data() + slot * width, view.inputs,
                      inner);
    const int64_t row = slot - own.begin;
    Kind::prepare(work.linear, view, work.scratch.outputs.data() + own.begin * view.inputs,
                  work.scratch.inners.rows(own), {row, row + 1});
  }
}

template <class Kind>
void mix_rows(void* memory, size_t index) {
  Work<Kind>& work = *static_cast<Work<Kind>*>(memory);
  const int64_t hidden = work.weights.hidden();
  const int64_t top_k = work.call.top_k;
  const Range rows = part_of(work.call.rows, static_cast<int64_t>(index), work.parts);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    work.kernels.mix(work.scratch.outputs.data(), work.scratch.slots.places(row),
                     work.routing.shares + row * top_k, top_k, hidden, work.call.y + row * hidden);
  }
}

template <class Kind>
class Run {
 public:
  Run(Work<Kind>& work, Pool& pool, int64_t parts) : work_(work), pool_(pool), parts_(parts) {}

  // Rows, or slots, of some numbers.
  void rows(Pool::Part part, int64_t count, int64_t numbers) {
    work_.parts = 1;
    if (count * numbers <= kSerialNumbers) return part(&work_, 0);
    work_.parts = std::min(parts_, count);
    pool_.run(part, static_cast<size_t>(work_.parts), &work_);
  }

  void units(Pool::Part part, const typename Kind::View& view) {
    const UnitParts units(work_.scratch.slots, view.units, work_.linear.row_block, parts_);
    work_.units = &units;
    pool_.run(part, static_cast<size_t>(units.count()), &work_);
  }

 private:
  Work<Kind>& work_;
  Pool& pool_;
  int64_t parts_;
};

template <class Kind>
void run_rows(const typename Kind::Kernels& linear, const ExpertKernels& kernels,
              const typename Kind::Weights& weights, const ExpertsCall& call, Pool& pool,
              int64_t parts) {
  static thread_local Scratch<Kind> scratch;
  const typename Kind::View& gate_up = weights.gate_up().front().view();
  const typename Kind::View& down = weights.down().front().view();
  const int64_t slots = call.rows * call.top_k;
  scratch.tokens.reserve(gate_up, call.rows);
  scratch.inputs.reserve(gate_up, slots);
  scratch.inners.reserve(down, slots);
  grown(&scratch.gate_up, slots * 2 * down.inputs);
  grown(&scratch.outputs, slots * std::max(gate_up.inputs, down.inputs));
  const RoutingView routing = {weights.experts(), call.top_k, grown(&scratch.chosen, slots),
                               grown(&scratch.shares, slots), call.shares};
  Work<Kind> work = {linear, kernels, weights, call, scratch, routing, nullptr, 1};
  Run<Kind> run(work, pool, parts);
  run.rows(read_tokens<Kind>, call.rows, gate_up.inputs);
  scratch.slots.sort(routing.chosen, call.rows, call.top_k, weights.experts());
  run.rows(gather_tokens<Kind>, slots, gate_up.inputs);
  run.units(multiply_gate_up<Kind>, gate_up);
  run.rows(gate_slots<Kind>, slots, down.inputs);
  run.units(multiply_down<Kind>, down);
  run.rows(mix_rows<Kind>, call.rows, gate_up.inputs * call.top_k);
}

template <class Kind>
void run_pieces(const typename Kind::Kernels& linear, const ExpertKernels& kernels,
                const typename Kind::Weights& weights, const ExpertsCall& call, Pool& pool,
                int64_t parts) {
  const int64_t most = std::max<int64_t>(1, kMostSlots / call.top_k);
  for (int64_t begin = 0; begin < call.rows; begin += most) {
    ExpertsCall some = call;
    some.rows = std::min(most, call.rows - begin);
    some.x += begin * weights.hidden();
    some.logits += begin * weights.experts();
    some.y += begin * weights.hidden();
    run_rows<Kind>(linear, kernels, weights, some, pool, parts);
  }
}

}  // namespace

void run_experts(const LinearKernels& linear, const ExpertKernels& kernels,
                 const ExpertWeights& weights, const ExpertsCall& call, Pool& pool, int64_t parts) {
  run_pieces<Rounded>(linear, kernels, weights, call, pool, parts);
}

void run_experts(const FloatKernels& linear, const ExpertKernels& kernels,
                 const FloatExpertWeights& weights, const ExpertsCall& call, Pool& pool,
                 int64_t parts) {
  run_pieces<Exact>(linear, kernels, weights, call, pool, parts);
}

}  // namespace nanoaccel
