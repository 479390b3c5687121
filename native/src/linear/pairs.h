// Steps of a path whose instructions multiply two rows at once. Within a group, sums of two rows
// are joined as these instructions have them; an odd last row stays alone.
#pragma once

#include "linear/codes.h"

namespace nanoaccel {
namespace {

template <class V, int M, int T>
inline void join_rows(typename V::Int (&sums)[T][M]) {
  for (int t = 0; t < T; ++t) {
    for (int m = 0; m + 1 < M; m += 2) V::join(&sums[t][m], &sums[t][m + 1]);
  }
}

template <class V, int M, int T>
inline void split_rows(typename V::Int (&sums)[T][M]) {
  for (int t = 0; t < T; ++t) {
    for (int m = 0; m + 1 < M; m += 2) V::split(&sums[t][m], &sums[t][m + 1]);
  }
}

// As add_step.
template <class V, int M, Coding C, int T>
inline void add_pairs(const uint8_t* codes, const int8_t* q, typename V::Int (&sums)[T][M]) {
  for (int t = 0; t < T; ++t, codes += kTileBytes) {
    typename V::Codes low = V::load_codes(codes);
    typename V::Codes high;
    if (bits_of(C) == 4) {
      split_nibbles<V, C>(low, &low, &high);
    } else {
      high = V::load_codes(codes + kUnitTiles * kTileBytes);
    }
    for (int m = 0; m + 1 < M; m += 2) {
      V::dot_pair(&sums[t][m], &sums[t][m + 1], low, high, q + m * kStep);
    }
    if (M % 2 != 0) {
      sums[t][M - 1] = V::dot_nibbles(sums[t][M - 1], low, high, q + (M - 1) * kStep);
    }
  }
}

}  // namespace
}  // namespace nanoaccel
