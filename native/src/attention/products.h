// The two products of attention: of queries with keys, and of weights with values.
#pragma once

#include "attention/kernels.h"
#include "attention/storage.h"

namespace nanoaccel {
namespace {

// Rows of queries that a tile of keys is read for, and rows and vectors of values that are summed
// in registers.
template <class V>
struct Registers {
  static constexpr bool kMany = V::kRows == 8;
  static constexpr int kQueries = kMany ? 8 : 2;
  static constexpr int kWeights = kMany ? 4 : 2;
  static constexpr int kVectors = kMany ? 4 : 2;
};

// The products read their memory once, and ask for as much that is read soon, line by line: blocks
// lie anywhere, so the CPU does not see what comes, and many requests at once would wait.
inline void ask_for(const void* soon) { __builtin_prefetch(soon, 0, 2); }

// 16 keys of a head.
template <class S>
struct KeyTile {
  const typename S::Element* keys;
  const typename S::Scale* scales;  // of the first of them
  int64_t block;
  const typename S::Element* soon;
};

// Values of a head from a pair of tokens on.
template <class S>
struct ValuePairs {
  const typename S::Element* values;
  const float* scales;  // of the first token, widened
  int64_t block;
  int64_t column;  // the number that ``values`` begin with
  const typename S::Element* soon;
};

// Scores of M rows with 16 tokens. Numbers of even and odd index are summed apart.
template <class V, class S, int M>
void tile_scores(const KeyTile<S>& tile, const float* queries, int64_t size, float* scores) {
  using Float = typename V::Float;
  Float even[M];
  Float odd[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) even[m] = odd[m] = V::set(0.0F);
  const typename S::Element* keys = tile.keys;
  for (int64_t begin = 0; begin < size; begin += S::kGroup) {
    const typename S::GroupScales scales = S::key_scales(tile.scales, tile.block, begin);
    const int64_t end = begin + S::kGroup < size ? begin + S::kGroup : size;
    for (int64_t d = begin; d < end; d += 2, keys += S::kPairElements) {
      Float first;
      Float second;
      S::load(keys, &first, &second);
      ask_for(tile.soon + (keys - tile.keys));
      S::scale(scales, &first, &second);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        even[m] = V::fma(V::set(queries[m * size + d]), first, even[m]);
        odd[m] = V::fma(V::set(queries[m * size + d + 1]), second, odd[m]);
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) V::store(scores + m * kPiece, V::add(even[m], odd[m]));
}

// The same for any number of rows.
template <class V, class S>
void all_scores(const KeyTile<S>& keys, const float* queries, int64_t rows, int64_t size,
                float* scores) {
  constexpr int64_t kMost = Registers<V>::kQueries;
  for (int64_t row = 0; row < rows; row += kMost) {
    const int64_t left = rows - row;
    const float* const q = queries + row * size;
    float* const out = scores + row * kPiece;
    if (left >= kMost) {
      tile_scores<V, S, kMost>(keys, q, size, out);
      continue;
    }
    switch (left) {
      case 1:
        tile_scores<V, S, 1>(keys, q, size, out);
        break;
      case 2:
        tile_scores<V, S, 2>(keys, q, size, out);
        break;
      case 3:
        tile_scores<V, S, 3>(keys, q, size, out);
        break;
      case 4:
        tile_scores<V, S, 4>(keys, q, size, out);
        break;
      default:
        tile_scores<V, S, 4>(keys, q, size, out);
        all_scores<V, S>(keys, q + 4 * size, left - 4, size, out + 4 * kPiece);
    }
  }
}

// Adds the values of some pairs of tokens to M rows of N vectors.
template <class V, class S, int M, int N>
void pair_values(const ValuePairs<S>& from, const float* weights, int64_t pairs, int64_t size,
                 float* out) {
  using Float = typename V::Float;
  Float sums[M][N];
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sums[m][n] = V::load(out + m * size + n * kCacheTile);
  }
  const typename S::Element* values = from.values;
  const int64_t stride = size / kCacheTile * S::kPairElements;
  for (int64_t pair = 0; pair < pairs; ++pair, values += stride) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      Float first;
      Float second;
      S::load(values + n * S::kPairElements, &first, &second);
      ask_for(from.soon + (values - from.values) + n * S::kPairElements);
      S::scale(S::value_scales(from.scales, from.block, from.column + n * kCacheTile, 2 * pair),
               &first, &second);
#pragma GCC unroll 4
      for (int m = 0; m < M; ++m) {
        const float* const weight = weights + m * kPiece + 2 * pair;
        sums[m][n] = V::fma(V::set(weight[0]), first, sums[m][n]);
        sums[m][n] = V::fma(V::set(weight[1]), second, sums[m][n]);
      }
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) V::store(out + m * size + n * kCacheTile, sums[m][n]);
  }
}

// M rows of any size.
template <class V, class S, int M>
void row_values(ValuePairs<S> from, const float* weights, int64_t pairs, int64_t size, float* out) {
  constexpr int64_t kMost = Registers<V>::kVectors;
  int64_t vectors = size / kCacheTile;
  const auto pass = [&](int64_t count) {
    from.values += count * S::kPairElements;
    from.soon += count * S::kPairElements;
    from.column += count * kCacheTile;
    out += count * kCacheTile;
    vectors -= count;
  };
  while (vectors >= kMost) {
    pair_values<V, S, M, kMost>(from, weights, pairs, size, out);
    pass(kMost);
  }
  while (vectors > 0) {
    pair_values<V, S, M, 1>(from, weights, pairs, size, out);
    pass(1);
  }
}

// The same for any number of rows.
template <class V, class S>
void all_values(const ValuePairs<S>& values, const float* weights, int64_t rows, int64_t pairs,
                int64_t size, float* out) {
  constexpr int64_t kMost = Registers<V>::kWeights;
  int64_t row = 0;
  for (; row + kMost <= rows; row += kMost) {
    row_values<V, S, kMost>(values, weights + row * kPiece, pairs, size, out + row * size);
  }
  const float* const last = weights + row * kPiece;
  switch (rows - row) {
    case 1:
      return row_values<V, S, 1>(values, last, pairs, size, out + row * size);
    case 2:
      return row_values<V, S, 2>(values, last, pairs, size, out + row * size);
    case 3:
      return row_values<V, S, 3>(values, last, pairs, size, out + row * size);
    default:
      return;
  }
}

}  // namespace
}  // namespace nanoaccel
