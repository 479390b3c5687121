#include "linear_attention/linear_attention.h"

#include <vector>

namespace nanoaccel {
namespace {

constexpr int64_t kMostHeads = 4096;
constexpr int64_t kMostSize = 1024;
constexpr int64_t kSerialProducts = 60000;  // fewer are done faster than threads are woken

struct Work {
  const LinearAttentionKernels& kernels;
  const LinearAttentionLayer& layer;
  const LinearAttentionPass& pass;
};

// Memory of the calling thread; it grows, and never shrinks.
std::vector<float>& memory_of_thread() {
  static thread_local std::vector<float> memory;
  return memory;
}

float* grown(std::vector<float>* memory, int64_t numbers) {
  if (memory->size() < static_cast<size_t>(numbers)) memory->resize(static_cast<size_t>(numbers));
  return memory->data();
}

// A head of a sequence.
void attend_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const auto item = static_cast<int64_t>(index);
  float* const scratch = grown(&memory_of_thread(), scratch_numbers(work.layer));
  work.kernels.attend(work.layer, work.pass, item / work.layer.heads, item % work.layer.heads,
                      scratch);
}

}  // namespace

int64_t state_numbers(const LinearAttentionLayer& layer) {
  return layer.heads * head_numbers(layer);
}

std::string layer_problem(const LinearAttentionLayer& layer) {
  if (layer.heads < 1 || layer.heads > kMostHeads) return "num_heads is not 1 to 4096";
  if (layer.key_heads < 1 || layer.heads % layer.key_heads != 0) {
    return "num_heads is no multiple of key_heads";
  }
  if (layer.key_size < 1 || layer.key_size > kMostSize || layer.value_size < 1 ||
      layer.value_size > kMostSize) {
    return "key_size or value_size is not 1 to 1024";
  }
  return "";
}

void run_linear_attention(const LinearAttentionKernels& kernels, const LinearAttentionLayer& layer,
                          const LinearAttentionPass& pass, Pool& pool) {
  static thread_local std::vector<float> gates;
  const StateSteps& states = pass.states;
  const int64_t tokens = states.begins[states.sequences];
  LinearAttentionPass gated = pass;
  const int64_t steps = tokens * step_count(layer);
  gated.decays = grown(&gates, steps + tokens * layer.heads);
  gated.writes = gated.decays + steps;
  kernels.gate(layer, gated, 0, tokens);
  Work work = {kernels, layer, gated};
  const int64_t items = states.sequences * layer.heads;
  if (tokens * state_numbers(layer) > kSerialProducts) {
    return pool.run(attend_part, static_cast<size_t>(items), &work);
  }
  for (int64_t item = 0; item < items; ++item) attend_part(&work, static_cast<size_t>(item));
}

}  // namespace nanoaccel
