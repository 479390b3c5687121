// 16 lanes in two registers of AVX2, with or without VNNI.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "isa/halves_256.h"

namespace nanoaccel {
namespace {

// What both have; each adds its dot products.
struct Vector256 {
  static constexpr int kRows = 4;        // of activations that are multiplied together
  static constexpr bool kPairs = false;  // whether two rows are multiplied by one instruction
  // Tiles of weights that are multiplied with so many rows: what the registers hold.
  static constexpr int tiles(int rows) { return rows <= 2 ? 2 : 1; }

  struct Float {
    __m256 a, b;
  };
  struct Int {
    __m256i a, b;
  };
  using Codes = Int;

  static Float set(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  static Float load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static Float load(const float* p, int count) {
    return {_mm256_maskload_ps(p, mask(count)), _mm256_maskload_ps(p + 8, mask(count - 8))};
  }
  static Float load_half(const uint16_t* p) {
    return {_mm256_cvtph_ps(load_128(p)), _mm256_cvtph_ps(load_128(p + 8))};
  }
  static Int load_signed_bytes(const int8_t* p) {
    return {_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))),
            _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8)))};
  }
  static void load_bfloat16_pairs(const uint16_t* p, Float* first, Float* second) {
    const Codes pairs = load_codes(reinterpret_cast<const uint8_t*>(p));
    const __m256i upper = _mm256_set1_epi32(-65536);
    *first = {_mm256_castsi256_ps(_mm256_slli_epi32(pairs.a, 16)),
              _mm256_castsi256_ps(_mm256_slli_epi32(pairs.b, 16))};
    *second = {_mm256_castsi256_ps(_mm256_and_si256(pairs.a, upper)),
               _mm256_castsi256_ps(_mm256_and_si256(pairs.b, upper))};
  }
  static void load_nibble_pairs(const uint8_t* p, Float* first, Float* second) {
    const Int pairs = load_bytes(p);
    const __m256i nibble = _mm256_set1_epi32(15);
    *first = to_float({_mm256_and_si256(pairs.a, nibble), _mm256_and_si256(pairs.b, nibble)});
    *second = to_float({_mm256_srli_epi32(pairs.a, 4), _mm256_srli_epi32(pairs.b, 4)});
  }
  static void store(float* p, Float v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
  }
  static void store(float* p, Float v, int count) {
    _mm256_maskstore_ps(p, mask(count), v.a);
    _mm256_maskstore_ps(p + 8, mask(count - 8), v.b);
  }
  static void store_half(uint16_t* p, Float v) {
    constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(v.a, kNearest));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(v.b, kNearest));
  }
  static Float within(Float v, int begin, int end, float otherwise) {
    const __m256 other = _mm256_set1_ps(otherwise);
    const auto kept = [=](int offset) {
      return _mm256_castsi256_ps(_mm256_andnot_si256(mask(begin - offset), mask(end - offset)));
    };
    return {_mm256_blendv_ps(other, v.a, kept(0)), _mm256_blendv_ps(other, v.b, kept(8))};
  }
  static Float add(Float x, Float y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  static Float mul(Float x, Float y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  static Float div(Float x, Float y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
  static Float fma(Float x, Float y, Float z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
  }
  static Float max(Float x, Float y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
  static Float min(Float x, Float y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  static Float abs(Float x) {
    const __m256 sign = _mm256_set1_ps(-0.0F);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
  }
  // The most of all lanes, by halves: one order on every path, which tells for what is no number.
  static float max_of(Float x) { return by_halves<Most>(x.a, x.b); }
  static float sum_of(Float x) { return by_halves<Sum>(x.a, x.b); }
  static Int round(Float x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
  static Float to_float(Int x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
  static Float exp2(Int x) {
    const Int biased = add_int(x, set_int(127));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(biased.a, 23)),
            _mm256_castsi256_ps(_mm256_slli_epi32(biased.b, 23))};
  }

  static Float where_less(Float a, Float b, Float x, Float y) {
    return {_mm256_blendv_ps(y.a, x.a, _mm256_cmp_ps(a.a, b.a, _CMP_LT_OQ)),
            _mm256_blendv_ps(y.b, x.b, _mm256_cmp_ps(a.b, b.b, _CMP_LT_OQ))};
  }
  static Float look_up(const float* table, Int nibbles) {
    const Float halves = load(table);
    return {look_up_eight(halves, nibbles.a), look_up_eight(halves, nibbles.b)};
  }

  static Int set_int(int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
  static Int add_int(Int x, Int y) {
    return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
  }
  template <int Bits>
  static Int shift_right(Int x) {
    return {_mm256_srli_epi32(x.a, Bits), _mm256_srli_epi32(x.b, Bits)};
  }
  static Int low_byte(Int x) {
    const __m256i byte = _mm256_set1_epi32(255);
    return {_mm256_and_si256(x.a, byte), _mm256_and_si256(x.b, byte)};
  }
  static uint32_t sum(Int x) {
    const __m256i eight = _mm256_add_epi32(x.a, x.b);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
  }
  static Int load_bytes(const uint8_t* p) {
    return {_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))),
            _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8)))};
  }
  static void store_bytes(int8_t* p, Int x) {
    const __m256i words = _mm256_packs_epi32(x.a, x.b);  // quarters a0 b0 a1 b1
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }
  static Int mul_low(Int x, const uint32_t* factor) {
    const __m256i y = _mm256_set1_epi32(static_cast<int32_t>(*factor));
    return {_mm256_madd_epi16(x.a, y), _mm256_madd_epi16(x.b, y)};
  }

  static Int load_words(const uint8_t* p) { return load_codes(p); }
  static Codes load_codes(const uint8_t* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
  }
  static Codes low(Codes x) {
    const __m256i nibble = _mm256_set1_epi8(15);
    return {_mm256_and_si256(x.a, nibble), _mm256_and_si256(x.b, nibble)};
  }
  static Codes look_up_bytes(const uint8_t* table, Codes nibbles) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    const __m256i bytes = _mm256_broadcastsi128_si256(half);
    return {_mm256_shuffle_epi8(bytes, nibbles.a), _mm256_shuffle_epi8(bytes, nibbles.b)};
  }
  static Codes high(Codes x) { return low({_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)}); }

 protected:
  static __m256i four(const int8_t* q) {
    int32_t bytes;
    std::memcpy(&bytes, q, sizeof bytes);
    return _mm256_set1_epi32(bytes);
  }

 private:
  static __m128i load_128(const uint16_t* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  // The lowest three bits choose in a half of the table, the fourth one the half.
  static __m256 look_up_eight(Float halves, __m256i nibbles) {
    const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(nibbles, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(halves.a, nibbles),
                            _mm256_permutevar8x32_ps(halves.b, nibbles), upper);
  }
  static __m256i mask(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

#ifdef __AVXVNNI__

struct AvxVnni : Vector256 {
  static constexpr int kByteOffset = 0;

  static Int dot_nibbles(Int sum, Codes low, Codes high, const int8_t* q) {
    return dot_bytes(dot_bytes(sum, low, q), high, q + 4);
  }
  static Int dot_bytes(Int sum, Codes codes, const int8_t* q) {
    const __m256i y = four(q);
    return {_mm256_dpbusd_avx_epi32(sum.a, codes.a, y), _mm256_dpbusd_avx_epi32(sum.b, codes.b, y)};
  }
};

#else

struct Avx2 : Vector256 {
  // vpmaddubsw adds two products in 16 bits and saturates. Codes of 8 bits are taken signed, as
  // code - 128, and their sign goes to the activations: 2 * 128 * 127 fits.
  static constexpr int kByteOffset = 128;

  // 4 * 24 * 127 fits 16 bits.
  static Int dot_nibbles(Int sum, Codes low, Codes high, const int8_t* q) {
    const __m256i y = four(q);
    const __m256i z = four(q + 4);
    return {widen(sum.a, _mm256_add_epi16(_mm256_maddubs_epi16(low.a, y),
                                          _mm256_maddubs_epi16(high.a, z))),
            widen(sum.b, _mm256_add_epi16(_mm256_maddubs_epi16(low.b, y),
                                          _mm256_maddubs_epi16(high.b, z)))};
  }
  static Int dot_bytes(Int sum, Codes codes, const int8_t* q) {
    const __m256i y = four(q);
    return {widen(sum.a, signed_products(codes.a, y)), widen(sum.b, signed_products(codes.b, y))};
  }

 private:
  static __m256i widen(__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  static __m256i signed_products(__m256i codes, __m256i y) {
    const __m256i x = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));
    return _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
  }
};

#endif

}  // namespace
}  // namespace nanoaccel
