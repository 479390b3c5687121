// What the multipliers of a path do at most, with all numbers in registers or beside them.
#pragma once

#include "linear/kernels.h"

namespace nanoaccel {
namespace {

// Multiplies int8 for some rounds; gives how many products that were.
template <class V>
int64_t multiply_peak(int64_t rounds) {
  constexpr int kSums = V::kRows * V::tiles(V::kRows);  // apart, so that none waits for another
  alignas(64) uint8_t bytes[kTileBytes] = {1, 2, 3};
  int8_t q[kStep * kSums] = {3, 2, 1};
  typename V::Int sums[kSums];
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) sums[i] = V::set_int(0);
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+m"(bytes), "+m"(q));  // else all of it is computed before the loop
    const typename V::Codes codes = V::load_codes(bytes);
#pragma GCC unroll 16
    for (int i = 0; i < kSums; ++i) {
      sums[i] = V::dot_nibbles(sums[i], codes, codes, q + kStep * i);
    }
  }
  uint32_t used = 0;
#pragma GCC unroll 16
  for (int i = 0; i < kSums; ++i) used += V::sum(sums[i]);
  asm volatile("" : : "r"(used));
  return rounds * kSums * 2 * kTileBytes;
}

}  // namespace
}  // namespace nanoaccel
