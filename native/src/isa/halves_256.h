// Sixteen lanes made one, by halves: one order on every path, which tells for sums and for what is
// no number.
#pragma once

#include <immintrin.h>

namespace nanoaccel {
namespace {

struct Most {
  static __m256 of(__m256 a, __m256 b) { return _mm256_max_ps(a, b); }
  static __m128 of(__m128 a, __m128 b) { return _mm_max_ps(a, b); }
};

struct Sum {
  static __m256 of(__m256 a, __m256 b) { return _mm256_add_ps(a, b); }
  static __m128 of(__m128 a, __m128 b) { return _mm_add_ps(a, b); }
};

// Of 16 lanes in two registers.
template <class Op>
inline float by_halves(__m256 lower, __m256 upper) {
  const __m256 eight = Op::of(lower, upper);
  __m128 four = Op::of(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = Op::of(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(Op::of(four, _mm_movehdup_ps(four)));
}

}  // namespace
}  // namespace nanoaccel
