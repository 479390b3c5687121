// 16 lanes in one register of AVX-512 with VNNI.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "isa/halves_256.h"

namespace nanoaccel {
namespace {

struct Avx512Vnni {
  static constexpr int kRows = 8;        // of activations that are multiplied together
  static constexpr bool kPairs = false;  // whether two rows are multiplied by one instruction
  // Tiles of weights that are multiplied with so many rows: what the registers hold.
  static constexpr int tiles(int) { return 2; }
  static constexpr int kByteOffset = 0;

  using Float = __m512;
  using Int = __m512i;
  using Codes = __m512i;

  static Float set(float value) { return _mm512_set1_ps(value); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static Float load(const float* p, int count) { return _mm512_maskz_loadu_ps(mask(count), p); }
  static Float load_half(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Int load_signed_bytes(const int8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void load_bfloat16_pairs(const uint16_t* p, Float* first, Float* second) {
    const __m512i pairs = _mm512_loadu_si512(p);
    *first = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    *second = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
  }
  static void load_nibble_pairs(const uint8_t* p, Float* first, Float* second) {
    const Int pairs = load_bytes(p);
    *first = to_float(_mm512_and_si512(pairs, _mm512_set1_epi32(15)));
    *second = to_float(_mm512_srli_epi32(pairs, 4));
  }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static void store(float* p, Float v, int count) { _mm512_mask_storeu_ps(p, mask(count), v); }
  static void store_half(uint16_t* p, Float v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static Float within(Float v, int begin, int end, float otherwise) {
    const auto kept = static_cast<__mmask16>(mask(end) & ~mask(begin));
    return _mm512_mask_blend_ps(kept, set(otherwise), v);
  }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float abs(Float a) { return _mm512_abs_ps(a); }
  // The most of all lanes, by halves: one order on every path, which tells for what is no number.
  static float max_of(Float a) { return by_halves<Most>(lower(a), upper(a)); }
  static float sum_of(Float a) { return by_halves<Sum>(lower(a), upper(a)); }
  static Int round(Float a) { return _mm512_cvtps_epi32(a); }
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  static Float exp2(Int a) {
    const Int biased = _mm512_add_epi32(a, _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
  }

  static Float where_less(Float a, Float b, Float x, Float y) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
  }
  static Float look_up(const float* table, Int nibbles) {
    return _mm512_permutexvar_ps(nibbles, _mm512_loadu_ps(table));
  }

  static Int set_int(int32_t value) { return _mm512_set1_epi32(value); }
  static Int add_int(Int a, Int b) { return _mm512_add_epi32(a, b); }
  template <int Bits>
  static Int shift_right(Int a) {
    return _mm512_srli_epi32(a, Bits);
  }
  static Int low_byte(Int a) { return _mm512_and_si512(a, _mm512_set1_epi32(255)); }
  // What _mm512_reduce_add_epi32 does, which may not overflow. GCC 12 finds that its own forms
  // without masks read what is not set.
  static uint32_t sum(Int a) {
    const __m256i half = _mm256_add_epi32(_mm512_maskz_extracti64x4_epi64(0xF, a, 0),
                                          _mm512_maskz_extracti64x4_epi64(0xF, a, 1));
    const __m128i quarter =
        _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const __m128i pair = _mm_add_epi32(quarter, _mm_shuffle_epi32(quarter, 0x4e));
    const __m128i all = _mm_add_epi32(pair, _mm_shuffle_epi32(pair, 0xb1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(all));
  }
  static Int load_bytes(const uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void store_bytes(int8_t* p, Int a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(a));
  }
  static Int mul_low(Int a, const uint32_t* factor) {
    return _mm512_madd_epi16(a, _mm512_set1_epi32(static_cast<int32_t>(*factor)));
  }

  static Int load_words(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Codes load_codes(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static Codes low(Codes a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
  static Codes look_up_bytes(const uint8_t* table, Codes nibbles) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes), nibbles);
  }
  static Codes high(Codes a) { return low(_mm512_srli_epi16(a, 4)); }
  static Int dot_nibbles(Int sum, Codes low, Codes high, const int8_t* q) {
    return dot_bytes(dot_bytes(sum, low, q), high, q + 4);
  }
  static Int dot_bytes(Int sum, Codes codes, const int8_t* q) {
    int32_t four;
    std::memcpy(&four, q, sizeof four);
    return _mm512_dpbusd_epi32(sum, codes, _mm512_set1_epi32(four));
  }

 private:
  static __m256 lower(Float a) { return _mm512_castps512_ps256(a); }
  static __m256 upper(Float a) { return _mm512_extractf32x8_ps(a, 1); }
  static __mmask16 mask(int count) { return static_cast<__mmask16>((1U << count) - 1U); }
};

}  // namespace
}  // namespace nanoaccel
