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

// What lies between the steps, of the calling thread; it grows, and never shrinks.
struct Scratch {
  std::vector<int32_t> chosen;
  std::vector<float> shares;
  Slots slots;
  Activations tokens;          // x, row by row
  Activations inputs;          // x, slot by slot
  Activations inners;          // what the gates give, slot by slot
  std::vector<float> gate_up;  // [slot][2 * inner]
  std::vector<float> outputs;  // [slot][inner], then [slot][hidden]
};

struct Work {
  const LinearKernels& linear;
  const ExpertKernels& kernels;
  const ExpertWeights& weights;
  const ExpertsCall& call;
  Scratch& scratch;
  RoutingView routing;
  const UnitParts* units;
  int64_t parts;  // of rows or slots
};

// Routes tokens and quantizes them.
void read_tokens(void* memory, size_t index) {
  Work& work = *static_cast<Work*>(memory);
  const LinearView& view = work.weights.gate_up().front().view();
  const Range rows = part_of(work.call.rows, static_cast<int64_t>(index), work.parts);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    work.kernels.choose(work.call.logits + row * work.routing.experts, work.routing, row);
    work.linear.quantize(view, {}, work.call.x + row * view.inputs, work.scratch.tokens.row(row),
                         {0, 1});
  }
}

void gather_tokens(void* memory, size_t index) {
  Work& work = *static_cast<Work*>(memory);
  const Slots& slots = work.scratch.slots;
  const Range range = part_of(slots.size(), static_cast<int64_t>(index), work.parts);
  for (int64_t slot = range.begin; slot < range.end; ++slot) {
    const Range own = slots.of(slots.expert(slot));
    gather_row(work.scratch.tokens.row(slots.row(slot)), work.scratch.inputs.rows(own),
               slot - own.begin, work.linear.row_block);
  }
}

// One linear of the experts that a part of the units belongs to.
void multiply(const Work& work, size_t index, const std::vector<PackedWeights>& all,
              const Activations& activations, float* y) {
  work.units->each(static_cast<int64_t>(index), [&](const UnitParts::Piece& piece) {
    const PackedWeights& weights = all[static_cast<size_t>(piece.expert)];
    const Range own = work.scratch.slots.of(piece.expert);
    OutputView output = {};
    output.width = weights.outputs();
    output.y = y + own.begin * output.width;
    output.bias = weights.bias();
    work.linear.multiply(weights.view(), activations.rows(own), output, {0, own.end - own.begin},
                         piece.units);
  });
}

void multiply_gate_up(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  multiply(work, index, work.weights.gate_up(), work.scratch.inputs, work.scratch.gate_up.data());
}

void multiply_down(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  multiply(work, index, work.weights.down(), work.scratch.inners, work.scratch.outputs.data());
}

// The input of the second linears.
void gate_slots(void* memory, size_t index) {
  Work& work = *static_cast<Work*>(memory);
  const LinearView& view = work.weights.down().front().view();
  const Slots& slots = work.scratch.slots;
  const Range range = part_of(slots.size(), static_cast<int64_t>(index), work.parts);
  for (int64_t slot = range.begin; slot < range.end; ++slot) {
    const Range own = slots.of(slots.expert(slot));
    float* inner = work.scratch.outputs.data() + slot * view.inputs;
    work.kernels.gate(work.call.unit, work.scratch.gate_up.data() + slot * 2 * view.inputs,
                      view.inputs, inner);
    const int64_t row = slot - own.begin;
    work.linear.quantize(view, {}, work.scratch.outputs.data() + own.begin * view.inputs,
                         work.scratch.inners.rows(own), {row, row + 1});
  }
}

void mix_rows(void* memory, size_t index) {
  Work& work = *static_cast<Work*>(memory);
  const int64_t hidden = work.weights.hidden();
  const int64_t top_k = work.call.top_k;
  const Range rows = part_of(work.call.rows, static_cast<int64_t>(index), work.parts);
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    work.kernels.mix(work.scratch.outputs.data(), work.scratch.slots.places(row),
                     work.routing.shares + row * top_k, top_k, hidden, work.call.y + row * hidden);
  }
}

class Run {
 public:
  Run(Work& work, Pool& pool, int64_t parts) : work_(work), pool_(pool), parts_(parts) {}

  // Rows, or slots, of some numbers.
  void rows(Pool::Part part, int64_t count, int64_t numbers) {
    work_.parts = 1;
    if (count * numbers <= kSerialNumbers) return part(&work_, 0);
    work_.parts = std::min(parts_, count);
    pool_.run(part, static_cast<size_t>(work_.parts), &work_);
  }

  void units(Pool::Part part, const LinearView& view) {
    const UnitParts units(work_.scratch.slots, view.units, work_.linear.row_block, parts_);
    work_.units = &units;
    pool_.run(part, static_cast<size_t>(units.count()), &work_);
  }

 private:
  Work& work_;
  Pool& pool_;
  int64_t parts_;
};

void run_rows(const LinearKernels& linear, const ExpertKernels& kernels,
              const ExpertWeights& weights, const ExpertsCall& call, Pool& pool, int64_t parts) {
  static thread_local Scratch scratch;
  const LinearView& gate_up = weights.gate_up().front().view();
  const LinearView& down = weights.down().front().view();
  const int64_t slots = call.rows * call.top_k;
  scratch.tokens.reserve(gate_up, call.rows);
  scratch.inputs.reserve(gate_up, slots);
  scratch.inners.reserve(down, slots);
  grown(&scratch.gate_up, slots * 2 * down.inputs);
  grown(&scratch.outputs, slots * std::max(gate_up.inputs, down.inputs));
  const RoutingView routing = {weights.experts(), call.top_k, grown(&scratch.chosen, slots),
                               grown(&scratch.shares, slots)};
  Work work = {linear, kernels, weights, call, scratch, routing, nullptr, 1};
  Run run(work, pool, parts);
  run.rows(read_tokens, call.rows, gate_up.inputs);
  scratch.slots.sort(routing.chosen, call.rows, call.top_k, weights.experts());
  run.rows(gather_tokens, slots, gate_up.inputs);
  run.units(multiply_gate_up, gate_up);
  run.rows(gate_slots, slots, down.inputs);
  run.units(multiply_down, down);
  run.rows(mix_rows, call.rows, gate_up.inputs * call.top_k);
}

}  // namespace

void run_experts(const LinearKernels& linear, const ExpertKernels& kernels,
                 const ExpertWeights& weights, const ExpertsCall& call, Pool& pool, int64_t parts) {
  const int64_t most = std::max<int64_t>(1, kMostSlots / call.top_k);
  for (int64_t begin = 0; begin < call.rows; begin += most) {
    ExpertsCall some = call;
    some.rows = std::min(most, call.rows - begin);
    some.x += begin * weights.hidden();
    some.logits += begin * weights.experts();
    some.y += begin * weights.hidden();
    run_rows(linear, kernels, weights, some, pool, parts);
  }
}

}  // namespace nanoaccel
