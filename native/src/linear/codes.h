// Codes of weights as the products take them.
#pragma once

#include <cstdint>

#include "linear/kernels.h"

namespace nanoaccel {
namespace {

// 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, doubled, above -12.
constexpr uint8_t kE2m1[] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// Nibbles of eight values of k: those of the first four, and of the others.
template <class V, Coding C>
void split_nibbles(typename V::Codes both, typename V::Codes* low, typename V::Codes* high) {
  *low = V::low(both);
  *high = V::high(both);
  if constexpr (C == Coding::kE2m1) {
    *low = V::look_up_bytes(kE2m1, *low);
    *high = V::look_up_bytes(kE2m1, *high);
  }
}

}  // namespace
}  // namespace nanoaccel
