// Linear attention with a state, as its kernels see it: a layer, a pass over it, and the functions
// of a path. The gated delta rule (Yang et al. 2024, Gated Delta Networks), Kimi's, whose gates are
// finer (Kimi Team 2025), and the scans of Mamba (Gu and Dao 2023) and Mamba-2 (Dao and Gu 2024)
// are forms of it. A head has a state S [key_size][value_size]; per token
//
//   step = clamp(softplus(raw + bias), least, most)
//   S    = exp(decay * step) * S
//   S    = S + key (x) beta * (value - key S)     by the delta rule
//   S    = S + key (x) step * value               else
//   y    = query S
//
// where a head has one step, one for each number of its key, or one for each of its value; in the
// last case each cell of S has a decay of its own;
// with keys and queries of length 1 where ``unit`` says so, and queries scaled. A head is computed
// token by token, and sums run over the keys' numbers in one order: four of them, of every fourth
// number, added in pairs. So a row depends on its own text alone.
//
// A head of a state is [value_size / 16][key_size][16]: columns do not need each other, and 16 of
// them lie in one piece. The last ones may be padding.
#pragma once

#include <cstdint>

#include "states/steps.h"

namespace nanoaccel {

constexpr int64_t kColumns = 16;
constexpr int64_t kChunk = 16;  // tokens whose keys and queries are prepared at once

// What has a step of its own.
enum class Gates : int { kHead, kKey, kValue };

struct LinearAttentionLayer {
  int64_t heads;      // of values
  int64_t key_heads;  // of keys and queries; each serves as many heads, one after the other
  int64_t key_size;
  int64_t value_size;
  bool delta;
  bool unit;
  float scale;    // of queries
  float epsilon;  // added to the squares where ``unit``
  float least;    // step
  float most;
  Gates gates;         // kKey goes with the delta rule, kValue without
  const float* bias;   // as many as a token has steps
  const float* decay;  // [heads]; with kValue [heads][key_size][value_size]
};

// T tokens of some sequences, one after the other.
struct LinearAttentionPass {
  StateSteps states;
  const float* queries;  // [T][key_heads][key_size]
  const float* keys;     // [T][key_heads][key_size]
  const float* values;   // [T][heads][value_size]
  const float* raw;      // [T][steps]
  const float* betas;    // [T][heads]; of the delta rule
  float* y;              // [T][heads][value_size]
  float* decays;         // [T][steps], for the kernels: what is kept of a state; with kValue steps
  float* writes;         // [T][heads], for the kernels: the factor of what is written
};

// Each unit has these for itself: it is compiled for its own instructions.
namespace {

inline int64_t column_tiles(const LinearAttentionLayer& layer) {
  return (layer.value_size + kColumns - 1) / kColumns;
}

// Steps of a token.
inline int64_t step_count(const LinearAttentionLayer& layer) {
  if (layer.gates == Gates::kHead) return layer.heads;
  return layer.heads * (layer.gates == Gates::kKey ? layer.key_size : layer.value_size);
}

// Numbers of a head of a state.
inline int64_t head_numbers(const LinearAttentionLayer& layer) {
  return column_tiles(layer) * layer.key_size * kColumns;
}

// Numbers that a head is computed with: a state, and the keys and queries of a chunk.
inline int64_t scratch_numbers(const LinearAttentionLayer& layer) {
  return head_numbers(layer) + 2 * kChunk * layer.key_size;
}

}  // namespace

struct LinearAttentionKernels {
  // ``decays`` and ``writes`` of tokens first to last - 1 of the pass.
  void (*gate)(const LinearAttentionLayer&, const LinearAttentionPass&, int64_t first,
               int64_t last);
  // All tokens of a head of a sequence, and the states that are kept behind them.
  void (*attend)(const LinearAttentionLayer&, const LinearAttentionPass&, int64_t sequence,
                 int64_t head, float* scratch);
};

}  // namespace nanoaccel
