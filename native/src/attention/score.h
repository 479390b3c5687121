// How much attention tokens of the cache draw, behind the softmax.
#pragma once

#include "attention/attend.h"

namespace nanoaccel {
namespace {

// Adds what the tokens of a piece draw from the rows of an item, each in units of 1 / kScoreUnit.
template <class V, class S>
void score(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
           int64_t piece, float* scratch, int64_t* sums) {
  using Float = typename V::Float;
  const int64_t rows = rows_of(layer, item);
  float* const scores = scratch + rows * layer.cache.size;
  load_queries<V>(layer, pass, item, scratch);
  const Columns all = score_piece<V, S>(layer, pass, item, piece, scratch, scores);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t token = item.first_token + row / layer.group;
    const Columns seen = seen_by(layer, pass, item.sequence, token, piece);
    const Shape shape = shape_of(layer, pass, item, row, piece);
    const float* const softmax = pass.softmax + 2 * row_of(layer, pass, item, row);
    const Float below = V::set(-softmax[0]);
    const Float sum = V::set(softmax[1]);
    for (int64_t t = all.begin; t < all.end; t += kTile) {
      const Float x = shaped<V>(V::load(scores + row * kPiece + t), shape, t);
      const Float weight = V::div(exponential<V>(V::add(x, below)), sum);
      const Float kept = within<V>(V::mul(weight, V::set(kScoreUnit)), seen, t, 0.0F);
      float units[kTile];
      V::store(units, V::to_float(V::round(kept)));
      for (int64_t i = 0; i < kTile; ++i) sums[t + i] += static_cast<int64_t>(units[i]);
    }
  }
}

}  // namespace
}  // namespace nanoaccel
