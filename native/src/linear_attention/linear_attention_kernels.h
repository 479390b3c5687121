// The kernels of linear attention for one kind of vector.
#pragma once

#include "linear/norm.h"
#include "linear_attention/kernels.h"
#include "linear_attention/softplus.h"

namespace nanoaccel {
namespace {

static_assert(kColumns == kTile, "a tile of columns is a vector");

// Up to 16 steps of a token.
template <class V>
typename V::Float steps_of(const LinearAttentionLayer& layer, const float* raw, const float* bias,
                           int64_t left) {
  const auto sum = V::add(load_up_to<V>(raw, left), load_up_to<V>(bias, left));
  return V::min(V::max(softplus<V>(sum), V::set(layer.least)), V::set(layer.most));
}

// A head has one number of ``decay`` for all steps of a token, or steps are kept as they are.
template <class V>
void gate_fine(const LinearAttentionLayer& layer, const LinearAttentionPass& pass, int64_t token) {
  const bool keys = layer.gates == Gates::kKey;
  const int64_t size = keys ? layer.key_size : layer.value_size;
  for (int64_t head = 0; head < layer.heads; ++head) {
    for (int64_t i = 0; i < size; i += kTile) {
      const int64_t left = size - i;
      const int64_t at = token * layer.heads * size + head * size + i;
      const auto step = steps_of<V>(layer, pass.raw + at, layer.bias + head * size + i, left);
      const auto kept = keys ? exponential<V>(V::mul(V::set(layer.decay[head]), step)) : step;
      store_up_to<V>(pass.decays + at, left, kept);
    }
    const int64_t at = token * layer.heads + head;
    if (keys) pass.writes[at] = pass.betas[at];
  }
}

template <class V>
void gate_tokens(const LinearAttentionLayer& layer, const LinearAttentionPass& pass, int64_t first,
                 int64_t last) {
  for (int64_t token = first; token < last; ++token) {
    if (layer.gates != Gates::kHead) {
      gate_fine<V>(layer, pass, token);
      continue;
    }
    for (int64_t head = 0; head < layer.heads; head += kTile) {
      const int64_t left = layer.heads - head;
      const int64_t at = token * layer.heads + head;
      const auto step = steps_of<V>(layer, pass.raw + at, layer.bias + head, left);
      const auto decay = V::mul(load_up_to<V>(layer.decay + head, left), step);
      store_up_to<V>(pass.decays + at, left, exponential<V>(decay));
      store_up_to<V>(pass.writes + at, left,
                     layer.delta ? load_up_to<V>(pass.betas + at, left) : step);
    }
  }
}

// Keys or queries of a head of a token, [key_size], times a factor.
template <class V>
void prepare(const LinearAttentionLayer& layer, const float* x, float factor, float* out) {
  const int64_t size = layer.key_size;
  if (layer.unit) {
    typename V::Float squares = V::set(0.0F);
    for (int64_t k = 0; k < size; k += kTile) {
      const auto v = load_up_to<V>(x + k, size - k);
      squares = V::fma(v, v, squares);
    }
    factor = factor * (1.0F / __builtin_sqrtf(V::sum_of(squares) + layer.epsilon));
  }
  for (int64_t k = 0; k < size; k += kTile) {
    const auto v = V::mul(load_up_to<V>(x + k, size - k), V::set(factor));
    store_up_to<V>(out + k, size - k, v);
  }
}

// Four sums of 16 lanes.
template <class V>
struct Sums {
  typename V::Float of[4] = {V::set(0.0F), V::set(0.0F), V::set(0.0F), V::set(0.0F)};

  typename V::Float total() const { return V::add(V::add(of[0], of[1]), V::add(of[2], of[3])); }
};

// What a token keeps of 16 columns of a state: of row k, and of what a key recalls of them.
template <class V>
struct HeadGate {
  typename V::Float decay;

  typename V::Float kept(int64_t) const { return decay; }
  float recalled_by(float key, int64_t) const { return key; }
  typename V::Float recalled(typename V::Float sum) const { return V::mul(sum, decay); }
};

template <class V>
struct KeyGate {
  const float* decays;

  typename V::Float kept(int64_t k) const { return V::set(decays[k]); }
  float recalled_by(float key, int64_t k) const { return key * decays[k]; }
  typename V::Float recalled(typename V::Float sum) const { return sum; }
};

template <class V>
struct ValueGate {
  const float* decay;  // [key_size][stride]
  int64_t stride;
  int64_t left;  // columns
  typename V::Float step;

  typename V::Float kept(int64_t k) const {
    return exponential<V>(V::mul(load_up_to<V>(decay + k * stride, left), step));
  }
  float recalled_by(float key, int64_t) const { return key; }
  typename V::Float recalled(typename V::Float sum) const { return sum; }
};

// A token's part in 16 columns of a state [size][16].
template <class V, class Gate>
struct Column {
  const float* key;
  const float* query;
  int64_t size;
  Gate gate;
  typename V::Float write;  // the factor of what is written

  // key S, after S decays.
  typename V::Float recall(const float* before) const {
    Sums<V> sums;
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const auto factor = V::set(gate.recalled_by(key[k + i], k + i));
        sums.of[i] = V::fma(V::load(before + (k + i) * kColumns), factor, sums.of[i]);
      }
    }
    for (int i = 0; k < size; ++k, ++i) {
      const auto factor = V::set(gate.recalled_by(key[k], k));
      sums.of[i] = V::fma(V::load(before + k * kColumns), factor, sums.of[i]);
    }
    return gate.recalled(sums.total());
  }

  // Writes a value to a state, and reads the state.
  typename V::Float write_and_read(const float* before, float* after,
                                   typename V::Float value) const {
    const auto written = V::mul(value, write);
    Sums<V> sums;
    const auto take = [&](int64_t k, int i) {
      const auto kept = V::mul(V::load(before + k * kColumns), gate.kept(k));
      const auto now = V::fma(V::set(key[k]), written, kept);
      V::store(after + k * kColumns, now);
      sums.of[i] = V::fma(now, V::set(query[k]), sums.of[i]);
    };
    int64_t k = 0;
    for (; k + 4 <= size; k += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) take(k + i, i);
    }
    for (int i = 0; k < size; ++k, ++i) take(k, i);
    return sums.total();
  }
};

// A token's part in a tile of columns of a head.
template <class V, Gates kGates>
auto column_of(const LinearAttentionLayer& layer, const LinearAttentionPass& pass, int64_t token,
               int64_t head, int64_t tile, const float* key, const float* query) {
  const int64_t at = token * layer.heads + head;
  if constexpr (kGates == Gates::kHead) {
    return Column<V, HeadGate<V>>{
        key, query, layer.key_size, {V::set(pass.decays[at])}, V::set(pass.writes[at])};
  } else if constexpr (kGates == Gates::kKey) {
    const float* const decays = pass.decays + at * layer.key_size;
    return Column<V, KeyGate<V>>{key, query, layer.key_size, {decays}, V::set(pass.writes[at])};
  } else {
    const int64_t first = tile * kColumns;
    const int64_t left = layer.value_size - first;
    const auto step = load_up_to<V>(pass.decays + at * layer.value_size + first, left);
    const float* const decay = layer.decay + head * layer.key_size * layer.value_size + first;
    return Column<V, ValueGate<V>>{
        key, query, layer.key_size, {decay, layer.value_size, left, step}, step};
  }
}

// Tokens first to last - 1 of a head of a sequence, in one tile of columns after the other. Gives
// where the head's state is behind them.
template <class V, Gates kGates>
const float* attend_chunk(const LinearAttentionLayer& layer, const LinearAttentionPass& pass,
                          int64_t sequence, int64_t head, int64_t first, int64_t last,
                          const float* state, float* scratch) {
  const int64_t numbers = head_numbers(layer);
  const int64_t size = layer.key_size;
  const int64_t begin = pass.states.begins[sequence];
  const int64_t key_head = head / (layer.heads / layer.key_heads);
  float* const keys = scratch + numbers;
  float* const queries = keys + kChunk * size;
  for (int64_t t = first; t < last; ++t) {
    const int64_t at = ((begin + t) * layer.key_heads + key_head) * size;
    prepare<V>(layer, pass.keys + at, 1.0F, keys + (t - first) * size);
    prepare<V>(layer, pass.queries + at, layer.scale, queries + (t - first) * size);
  }
  const float* behind = state;
  for (int64_t tile = 0; tile < column_tiles(layer); ++tile) {
    const int64_t in_state = tile * size * kColumns;
    const int64_t left = layer.value_size - tile * kColumns;
    behind = state;
    for (int64_t t = first; t < last; ++t) {
      float* after = kept_state(pass.states, sequence, t);
      after = after == nullptr ? scratch : after + head * numbers;
      const int64_t at = ((begin + t) * layer.heads + head) * layer.value_size + tile * kColumns;
      const auto column =
          column_of<V, kGates>(layer, pass, begin + t, head, tile, keys + (t - first) * size,
                               queries + (t - first) * size);
      auto value = load_up_to<V>(pass.values + at, left);
      if (layer.delta) {
        const auto recalled = column.recall(behind + in_state);
        value = V::add(value, V::mul(recalled, V::set(-1.0F)));
      }
      store_up_to<V>(pass.y + at, left,
                     column.write_and_read(behind + in_state, after + in_state, value));
      behind = after;
    }
  }
  return behind;
}

template <class V, Gates kGates>
void attend_tokens(const LinearAttentionLayer& layer, const LinearAttentionPass& pass,
                   int64_t sequence, int64_t head, float* scratch) {
  const int64_t tokens = tokens_of(pass.states, sequence);
  const float* state = read_state(pass.states, sequence) + head * head_numbers(layer);
  for (int64_t first = 0; first < tokens; first += kChunk) {
    const int64_t last = first + kChunk < tokens ? first + kChunk : tokens;
    state = attend_chunk<V, kGates>(layer, pass, sequence, head, first, last, state, scratch);
  }
}

template <class V>
void attend_head(const LinearAttentionLayer& layer, const LinearAttentionPass& pass,
                 int64_t sequence, int64_t head, float* scratch) {
  switch (layer.gates) {
    case Gates::kHead:
      return attend_tokens<V, Gates::kHead>(layer, pass, sequence, head, scratch);
    case Gates::kKey:
      return attend_tokens<V, Gates::kKey>(layer, pass, sequence, head, scratch);
    case Gates::kValue:
      return attend_tokens<V, Gates::kValue>(layer, pass, sequence, head, scratch);
  }
}

template <class V>
constexpr LinearAttentionKernels linear_attention_kernels() {
  return {gate_tokens<V>, attend_head<V>};
}

}  // namespace
}  // namespace nanoaccel
