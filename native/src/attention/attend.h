// Attention of an item: its rows over its pieces.
#pragma once

#include "attention/products.h"
#include "attention/record.h"
#include "attention/rotate.h"

namespace nanoaccel {
namespace {

constexpr int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t greater(int64_t a, int64_t b) { return a > b ? a : b; }

// The part of a piece that a new token of a sequence sees.
inline Columns seen_by(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
                       int64_t token, int64_t piece) {
  const int64_t start = piece * kPiece;
  const int64_t end = pass.pasts[sequence] + token + 1;
  const int64_t begin = layer.window > 0 ? end - layer.window : 0;
  return {greater(begin - start, 0), lesser(end - start, kPiece)};
}

inline Shape shape_of(const AttentionLayer& layer, const AttentionPass& pass,
                      const AttentionItem& item, int64_t row, int64_t piece) {
  const float* const slopes = pass.slopes;
  const int64_t own = pass.pasts[item.sequence] + item.first_token + row / layer.group;
  const float slope =
      slopes == nullptr ? 0.0F : slopes[item.head * layer.group + row % layer.group];
  return {layer.softcap, slope, piece * kPiece - own};
}

template <class V>
void load_queries(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
                  float* queries) {
  const int64_t size = layer.cache.size;
  const int64_t group = layer.group;
  for (int64_t i = item.first_token; i < item.last_token; ++i) {
    const int64_t token = pass.begins[item.sequence] + i;
    const float* const row = pass.queries.data + token * pass.queries.stride;
    for (int64_t head = item.head * group; head < (item.head + 1) * group; ++head) {
      prepare<V>(layer, pass, token, row + head * size, pass.query_norm, queries);
      for (int64_t d = 0; d < size; d += kTile) {
        V::store(queries + d, V::mul(V::load(queries + d), V::set(layer.scale)));
      }
      queries += size;
    }
  }
}

// Multiplies columns of all rows by scales of tokens.
template <class V>
void scale_columns(float* scores, int64_t rows, const float* scales, int64_t count) {
  for (int64_t t = 0; t < count; t += kTile) {
    const typename V::Float scale = V::load(scales + t);
    for (int64_t row = 0; row < rows; ++row) {
      float* const at = scores + row * kPiece + t;
      V::store(at, V::mul(V::load(at), scale));
    }
  }
}

// The weights of all rows, of their scores over the tiles of ``all``.
template <class V>
void weigh_rows(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
                int64_t piece, Columns all, float* scores, const Record& record) {
  int64_t row = 0;
  for (int64_t token = item.first_token; token < item.last_token; ++token) {
    const Columns seen = seen_by(layer, pass, item.sequence, token, piece);
    for (int64_t g = 0; g < layer.group; ++g, ++row) {
      const Shape shape = shape_of(layer, pass, item, row, piece);
      weigh<V>(scores + row * kPiece, all, seen, shape, record.highest + row, record.sums + row);
    }
  }
}

template <class S>
HeadBlock<S> head_block(const AttentionLayer& layer, const AttentionPass& pass,
                        const AttentionItem& item, int64_t piece, int64_t column) {
  const int64_t index = (piece * kPiece + column) / layer.cache.block;
  return {layer.cache, block_of(pass, item.sequence, index), item.head};
}

// Where what is read next has what a piece has at ``here``, which is of a column: in the next piece
// of the item, or in the first one of the item that likely follows; else ``here``.
template <class S>
const typename S::Element* read_next(const AttentionLayer& layer, const AttentionPass& pass,
                                     const AttentionItem& item, int64_t piece, int64_t column,
                                     const typename S::Element* here) {
  const bool more = piece + 1 < item.last_piece;
  if (!more && item.next == nullptr) return here;
  const AttentionItem& next = more ? item : *item.next;
  const int64_t next_at = more ? piece + 1 : next.first_piece;
  const int64_t length = pass.pasts[next.sequence] + next.last_token;
  if (next_at * kPiece + column >= length) return here;
  return here + (head_block<S>(layer, pass, next, next_at, column).keys -
                 head_block<S>(layer, pass, item, piece, column).keys);
}

// Scores of the rows of an item with a piece; gives the columns that they were computed for.
template <class V, class S>
Columns score_piece(const AttentionLayer& layer, const AttentionPass& pass,
                    const AttentionItem& item, int64_t piece, const float* queries, float* scores) {
  const int64_t size = layer.cache.size;
  const int64_t block = layer.cache.block;
  const int64_t rows = rows_of(layer, item);
  const Columns first = seen_by(layer, pass, item.sequence, item.first_token, piece);
  const Columns last = seen_by(layer, pass, item.sequence, item.last_token - 1, piece);
  const Columns all = {first.begin / kTile * kTile, (last.end + kTile - 1) / kTile * kTile};
  for (int64_t t = all.begin; t < all.end; t += kTile) {
    const HeadBlock<S> memory = head_block<S>(layer, pass, item, piece, t);
    const int64_t slot = t % block;
    const auto* const first_key = memory.key_tile(slot, size);
    const KeyTile<S> keys = {first_key, memory.key_scales + slot, block,
                             read_next<S>(layer, pass, item, piece, t, first_key)};
    all_scores<V, S>(keys, queries, rows, size, scores + t);
    if constexpr (S::kTokenScales) scale_columns<V>(scores + t, rows, keys.scales, kTile);
  }
  return all;
}

// What the rows of an item make of a piece.
template <class V, class S>
void record_piece(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
                  int64_t piece, const float* queries, float* scores, const Record& record) {
  const int64_t size = layer.cache.size;
  const int64_t block = layer.cache.block;
  const int64_t rows = rows_of(layer, item);
  const Columns all = score_piece<V, S>(layer, pass, item, piece, queries, scores);
  weigh_rows<V>(layer, pass, item, piece, all, scores, record);
  for (int64_t i = 0; i < rows * size; ++i) record.values[i] = 0.0F;
  const int64_t last = seen_by(layer, pass, item.sequence, item.last_token - 1, piece).end;
  int64_t end = 0;
  for (int64_t t = all.begin; t < last; t = end) {
    const HeadBlock<S> memory = head_block<S>(layer, pass, item, piece, t);
    const int64_t slot = t % block;
    end = lesser(t - slot + block, last);
    if constexpr (S::kTokenScales) {
      scale_columns<V>(scores + t, rows, memory.value_scales + slot, end - t);
    }
    float widened[S::kWidened];
    S::widen(memory.value_scales, size, block, widened);
    const auto* const pair = memory.value_pair(slot, size);
    const float* const scales = S::kWidened > 1 ? widened + slot : widened;
    const ValuePairs<S> values = {pair, scales, block, 0,
                                  read_next<S>(layer, pass, item, piece, t, pair)};
    all_values<V, S>(values, scores + t, rows, (end - t + 1) / 2, size, record.values);
  }
}

template <class V>
void finish(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
            const Record& running) {
  using Float = typename V::Float;
  const int64_t size = layer.cache.size;
  for (int64_t row = 0; row < rows_of(layer, item); ++row) {
    const int64_t place = row_of(layer, pass, item, row);
    float* const out = pass.output + place * size;
    const Float sum = V::set(running.sums[row]);
    if (pass.softmax != nullptr) {
      pass.softmax[2 * place] = running.highest[row];
      pass.softmax[2 * place + 1] = running.sums[row];
    }
    for (int64_t d = 0; d < size; d += kTile) {
      // Weights of zero may have left a zero of either sign.
      V::store(out + d,
               V::add(V::div(V::load(running.values + row * size + d), sum), V::set(0.0F)));
    }
  }
}

template <class V, class S>
void attend(const AttentionLayer& layer, const AttentionPass& pass, const AttentionItem& item,
            float* scratch) {
  const int64_t size = layer.cache.size;
  const int64_t rows = rows_of(layer, item);
  float* const queries = scratch;
  float* const scores = queries + rows * size;
  const Record running(scores + rows * kPiece, rows);
  const Record own(scores + rows * kPiece + record_numbers(rows, size), rows);
  load_queries<V>(layer, pass, item, queries);
  if (item.records == nullptr) start(layer, pass, item, running);
  for (int64_t piece = item.first_piece; piece < item.last_piece; ++piece) {
    if (item.records != nullptr) {
      float* const apart = item.records + (piece - item.first_piece) * record_numbers(rows, size);
      record_piece<V, S>(layer, pass, item, piece, queries, scores, Record(apart, rows));
      continue;
    }
    record_piece<V, S>(layer, pass, item, piece, queries, scores, own);
    absorb<V>(running, own, rows, size);
  }
  if (item.records == nullptr) finish<V>(layer, pass, item, running);
}

template <class V>
void absorb_records(const AttentionLayer& layer, const AttentionPass& pass,
                    const AttentionItem& item, float* scratch) {
  const int64_t rows = rows_of(layer, item);
  const Record running(scratch, rows);
  start(layer, pass, item, running);
  for (int64_t piece = item.first_piece; piece < item.last_piece; ++piece) {
    const int64_t index = piece - item.first_piece;
    float* const numbers = item.records + index * record_numbers(rows, layer.cache.size);
    absorb<V>(running, Record(numbers, rows), rows, layer.cache.size);
  }
  finish<V>(layer, pass, item, running);
}

}  // namespace
}  // namespace nanoaccel
