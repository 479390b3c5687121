// What the multipliers of a path do at most, with all numbers in registers or beside them.
#pragma once

#include "linear/kernels.h"

namespace nanoaccel {
namespace {

constexpr int kPeakSums = 16;  // apart, so that none waits for the one before it

// Multiplies int8 for some rounds; gives how many products that were.
template <class V>
int64_t multiply_peak(int64_t rounds) {
  alignas(64) uint8_t bytes[kTileBytes] = {1, 2, 3};
  int8_t q[4 * kPeakSums] = {3, 2, 1};
  typename V::Int sums[kPeakSums];
  for (auto& sum : sums) sum = V::set_int(0);
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+m"(bytes), "+m"(q));  // else all of it is computed before the loop
    const typename V::Codes codes = V::load_codes(bytes);
#pragma GCC unroll 16
    for (int i = 0; i < kPeakSums; ++i) sums[i] = V::dot_bytes(sums[i], codes, q + 4 * i);
  }
  uint32_t used = 0;
  for (const auto& sum : sums) used += V::sum(sum);
  asm volatile("" : : "r"(used));
  return rounds * kPeakSums * kTileBytes;
}

}  // namespace
}  // namespace nanoaccel
