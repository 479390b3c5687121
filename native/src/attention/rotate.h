// Norm and rotary embedding of a head. The latter turns pairs of its numbers by angles that grow
// with the position.
#pragma once

#include <cstring>

#include "attention/storage.h"
#include "linear/norm.h"

namespace nanoaccel {
namespace {

// Pairs lie half of the rotated numbers apart (GPT-NeoX).
template <class V>
void rotate_halves(const float* x, const float* cosines, const float* sines, int64_t half,
                   float* out) {
  using Float = typename V::Float;
  for (int64_t i = 0; i < half; i += kTile) {
    const int64_t left = half - i;
    const Float cosine = load_up_to<V>(cosines + i, left);
    const Float sine = load_up_to<V>(sines + i, left);
    const Float a = load_up_to<V>(x + i, left);
    const Float b = load_up_to<V>(x + half + i, left);
    const Float minus = V::mul(V::mul(b, sine), V::set(-1.0F));
    const Float first = V::fma(a, cosine, minus);
    const Float second = V::fma(b, cosine, V::mul(a, sine));
    const int count = static_cast<int>(left < kTile ? left : kTile);
    V::store(out + i, first, count);
    V::store(out + half + i, second, count);
  }
}

// Pairs are neighbours (GPT-J).
inline void rotate_neighbours(const float* x, const float* cosines, const float* sines,
                              int64_t half, float* out) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    out[2 * i] = __builtin_fmaf(a, cosines[i], -(b * sines[i]));
    out[2 * i + 1] = __builtin_fmaf(b, cosines[i], a * sines[i]);
  }
}

// Writes a head of a token to ``out``, rotated.
template <class V>
void rotate(const AttentionLayer& layer, const AttentionPass& pass, int64_t token, const float* x,
            float* out) {
  const int64_t half = layer.rotated / 2;
  if (half > 0) {
    const int64_t row = pass.positions[token] * half;
    if (layer.interleaved) {
      rotate_neighbours(x, pass.cosines + row, pass.sines + row, half, out);
    } else {
      rotate_halves<V>(x, pass.cosines + row, pass.sines + row, half, out);
    }
  }
  const auto rest = static_cast<size_t>(layer.cache.size - layer.rotated);
  std::memcpy(out + layer.rotated, x + layer.rotated, rest * sizeof(float));
}

// Writes a head of a token to ``out``, normalized where there are weights for it, then rotated.
template <class V>
void prepare(const AttentionLayer& layer, const AttentionPass& pass, int64_t token, const float* x,
             const float* norm, float* out) {
  if (norm == nullptr) return rotate<V>(layer, pass, token, x, out);
  alignas(64) float normalized[kLargestHead];
  const int64_t size = layer.cache.size;
  const Row<V> row = normed_row<V>(x, size, {norm, layer.epsilon, nullptr, false});
  for (int64_t d = 0; d < size; d += kTile) V::store(normalized + d, row.at(d));
  rotate<V>(layer, pass, token, normalized, out);
}

}  // namespace
}  // namespace nanoaccel
