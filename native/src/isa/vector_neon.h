// 16 lanes in four registers of AArch64, with dot products or with matrix products of bytes.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace nanoaccel {
namespace {

// What both have; each adds its products of bytes.
struct Neon {
  static constexpr int kRows = 4;  // of activations that are multiplied together
  // Tiles of weights that are multiplied with so many rows: what the registers hold.
  static constexpr int tiles(int rows) { return rows <= 2 ? 2 : 1; }

  struct Float {
    float32x4_t part[4];
  };
  struct Int {
    int32x4_t part[4];
  };
  struct Codes {
    uint8x16_t part[4];
  };

  template <class Out, class Function>
  static Out each(Function function) {
    return {{function(0), function(1), function(2), function(3)}};
  }

  static Float set(float value) {
    return each<Float>([=](int) { return vdupq_n_f32(value); });
  }
  static Float load(const float* p) {
    return each<Float>([=](int i) { return vld1q_f32(p + 4 * i); });
  }
  static Float load(const float* p, int count) {
    float lanes[16] = {};
    std::memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
    return load(lanes);
  }
  static Float load_half(const uint16_t* p) {
    return each<Float>(
        [=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))); });
  }
  static Int load_signed_bytes(const int8_t* p) {
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
    const int16x8_t high = vmovl_high_s8(bytes);
    return {{vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)),
             vmovl_high_s16(high)}};
  }
  static void load_bfloat16_pairs(const uint16_t* p, Float* first, Float* second) {
    const auto pairs = [=](int i) { return vreinterpretq_u32_u16(vld1q_u16(p + 8 * i)); };
    const uint32x4_t upper = vdupq_n_u32(0xffff0000U);
    *first = each<Float>([&](int i) { return vreinterpretq_f32_u32(vshlq_n_u32(pairs(i), 16)); });
    *second = each<Float>([&](int i) { return vreinterpretq_f32_u32(vandq_u32(pairs(i), upper)); });
  }
  static void load_nibble_pairs(const uint8_t* p, Float* first, Float* second) {
    const Int pairs = load_bytes(p);
    const int32x4_t lower = vdupq_n_s32(15);
    *first = to_float(each<Int>([&](int i) { return vandq_s32(pairs.part[i], lower); }));
    *second = to_float(each<Int>([&](int i) { return vshrq_n_s32(pairs.part[i], 4); }));
  }
  static void store(float* p, Float v) {
    for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, v.part[i]);
  }
  static void store(float* p, Float v, int count) {
    float lanes[16];
    store(lanes, v);
    std::memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
  }
  static void store_half(uint16_t* p, Float v) {
    for (int i = 0; i < 4; ++i) {
      vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v.part[i])));
    }
  }
  static Float within(Float v, int begin, int end, float otherwise) {
    const int32x4_t lanes = {0, 1, 2, 3};
    return each<Float>([&](int i) {
      const uint32x4_t from = vcgeq_s32(lanes, vdupq_n_s32(begin - 4 * i));
      const uint32x4_t to = vcltq_s32(lanes, vdupq_n_s32(end - 4 * i));
      return vbslq_f32(vandq_u32(from, to), v.part[i], vdupq_n_f32(otherwise));
    });
  }
  static Float add(Float a, Float b) {
    return each<Float>([&](int i) { return vaddq_f32(a.part[i], b.part[i]); });
  }
  static Float mul(Float a, Float b) {
    return each<Float>([&](int i) { return vmulq_f32(a.part[i], b.part[i]); });
  }
  static Float div(Float a, Float b) {
    return each<Float>([&](int i) { return vdivq_f32(a.part[i], b.part[i]); });
  }
  static Float fma(Float a, Float b, Float c) {
    return each<Float>([&](int i) { return vfmaq_f32(c.part[i], a.part[i], b.part[i]); });
  }
  // Of a NaN and a number, the second: fmax and fmin would give a NaN.
  static Float max(Float a, Float b) {
    return each<Float>(
        [&](int i) { return vbslq_f32(vcgtq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
  }
  static Float min(Float a, Float b) {
    return each<Float>(
        [&](int i) { return vbslq_f32(vcltq_f32(a.part[i], b.part[i]), a.part[i], b.part[i]); });
  }
  static Float abs(Float a) {
    return each<Float>([&](int i) { return vabsq_f32(a.part[i]); });
  }
  static float max_of(Float a) {
    const float32x4_t four = greater(greater(a.part[0], a.part[2]), greater(a.part[1], a.part[3]));
    const float32x4_t two = greater(four, vextq_f32(four, four, 2));
    return vgetq_lane_f32(greater(two, vextq_f32(two, two, 1)), 0);
  }
  static float sum_of(Float a) {
    const float32x4_t upper = vaddq_f32(a.part[1], a.part[3]);
    const float32x4_t four = vaddq_f32(vaddq_f32(a.part[0], a.part[2]), upper);
    const float32x4_t two = vaddq_f32(four, vextq_f32(four, four, 2));
    return vgetq_lane_f32(two, 0) + vgetq_lane_f32(two, 1);
  }
  static Float where_less(Float a, Float b, Float x, Float y) {
    return each<Float>(
        [&](int i) { return vbslq_f32(vcltq_f32(a.part[i], b.part[i]), x.part[i], y.part[i]); });
  }
  // The bytes of a table's numbers, each by its place.
  static Float look_up(const float* table, Int nibbles) {
    const uint8x16x4_t bytes = vld1q_u8_x4(reinterpret_cast<const uint8_t*>(table));
    return each<Float>([&](int i) {
      const uint32x4_t nibble = vandq_u32(vreinterpretq_u32_s32(nibbles.part[i]), vdupq_n_u32(15));
      const uint32x4_t places = vmlaq_n_u32(vdupq_n_u32(0x03020100U), nibble, 0x04040404U);
      return vreinterpretq_f32_u8(vqtbl4q_u8(bytes, vreinterpretq_u8_u32(places)));
    });
  }
  // What does not fit becomes the least, as on other CPUs.
  static Int round(Float a) {
    return each<Int>([&](int i) {
      const uint32x4_t fits = vcltq_f32(a.part[i], vdupq_n_f32(2147483648.0F));
      return vbslq_s32(fits, vcvtnq_s32_f32(a.part[i]), vdupq_n_s32(INT32_MIN));
    });
  }
  static Float to_float(Int a) {
    return each<Float>([&](int i) { return vcvtq_f32_s32(a.part[i]); });
  }
  static Float exp2(Int a) {
    return each<Float>([&](int i) {
      const int32x4_t biased = vaddq_s32(a.part[i], vdupq_n_s32(127));
      return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
    });
  }

  static Int set_int(int32_t value) {
    return each<Int>([=](int) { return vdupq_n_s32(value); });
  }
  static Int add_int(Int a, Int b) {
    return each<Int>([&](int i) { return vaddq_s32(a.part[i], b.part[i]); });
  }
  template <int Bits>
  static Int shift_right(Int a) {
    return each<Int>([&](int i) {
      return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a.part[i]), Bits));
    });
  }
  static Int low_byte(Int a) {
    return each<Int>([&](int i) { return vandq_s32(a.part[i], vdupq_n_s32(255)); });
  }
  static uint32_t sum(Int a) {
    const int32x4_t pairs =
        vaddq_s32(vaddq_s32(a.part[0], a.part[1]), vaddq_s32(a.part[2], a.part[3]));
    return static_cast<uint32_t>(vaddvq_s32(pairs));
  }
  static Int load_bytes(const uint8_t* p) {
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes));
    const uint16x8_t high = vmovl_high_u8(bytes);
    const auto as_int = [](uint32x4_t x) { return vreinterpretq_s32_u32(x); };
    return {{as_int(vmovl_u16(vget_low_u16(low))), as_int(vmovl_high_u16(low)),
             as_int(vmovl_u16(vget_low_u16(high))), as_int(vmovl_high_u16(high))}};
  }
  static void store_bytes(int8_t* p, Int a) {
    const int16x8_t low = vqmovn_high_s32(vqmovn_s32(a.part[0]), a.part[1]);
    const int16x8_t high = vqmovn_high_s32(vqmovn_s32(a.part[2]), a.part[3]);
    vst1q_s8(p, vqmovn_high_s16(vqmovn_s16(low), high));
  }
  // ``a`` fits 16 bits.
  static Int mul_low(Int a, const uint32_t* factor) {
    const int32x4_t b = vdupq_n_s32(static_cast<int16_t>(*factor));
    return each<Int>([&](int i) { return vmulq_s32(a.part[i], b); });
  }

  static Int load_words(const uint8_t* p) {
    return each<Int>([=](int i) { return vreinterpretq_s32_u8(vld1q_u8(p + 16 * i)); });
  }
  static Codes load_codes(const uint8_t* p) {
    return each<Codes>([=](int i) { return vld1q_u8(p + 16 * i); });
  }
  static Codes low(Codes a) {
    return each<Codes>([&](int i) { return vandq_u8(a.part[i], vdupq_n_u8(15)); });
  }
  static Codes look_up_bytes(const uint8_t* table, Codes nibbles) {
    const uint8x16_t bytes = vld1q_u8(table);
    return each<Codes>([&](int i) { return vqtbl1q_u8(bytes, nibbles.part[i]); });
  }
  static Codes high(Codes a) {
    return each<Codes>([&](int i) { return vshrq_n_u8(a.part[i], 4); });
  }

 protected:
  static float32x4_t greater(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
  }
  static int8x16_t four(const int8_t* q) {
    int32_t bytes;
    std::memcpy(&bytes, q, sizeof bytes);
    return vreinterpretq_s8_s32(vdupq_n_s32(bytes));
  }
};

#ifdef __ARM_FEATURE_MATMUL_INT8

struct NeonI8mm : Neon {
  static constexpr bool kPairs = true;
  static constexpr int kByteOffset = 0;

  static Int dot_nibbles(Int sum, Codes low, Codes high, const int8_t* q) {
    const int8x8_t y = vld1_s8(q);
    return each<Int>([&](int i) {
      return vusdotq_lane_s32(vusdotq_lane_s32(sum.part[i], low.part[i], y, 0), high.part[i], y, 1);
    });
  }
  static Int dot_bytes(Int sum, Codes codes, const int8_t* q) {
    const int8x16_t y = four(q);
    return each<Int>([&](int i) { return vusdotq_s32(sum.part[i], codes.part[i], y); });
  }

  // usmmla multiplies two outputs with two rows: sums of two rows stand as [output][row].
  static void join(Int* first, Int* second) {
    const Int a = *first;
    const Int b = *second;
    *first = {{vzip1q_s32(a.part[0], b.part[0]), vzip2q_s32(a.part[0], b.part[0]),
               vzip1q_s32(a.part[1], b.part[1]), vzip2q_s32(a.part[1], b.part[1])}};
    *second = {{vzip1q_s32(a.part[2], b.part[2]), vzip2q_s32(a.part[2], b.part[2]),
                vzip1q_s32(a.part[3], b.part[3]), vzip2q_s32(a.part[3], b.part[3])}};
  }
  static void split(Int* first, Int* second) {
    const Int a = *first;
    const Int b = *second;
    *first = {{vuzp1q_s32(a.part[0], a.part[1]), vuzp1q_s32(a.part[2], a.part[3]),
               vuzp1q_s32(b.part[0], b.part[1]), vuzp1q_s32(b.part[2], b.part[3])}};
    *second = {{vuzp2q_s32(a.part[0], a.part[1]), vuzp2q_s32(a.part[2], a.part[3]),
                vuzp2q_s32(b.part[0], b.part[1]), vuzp2q_s32(b.part[2], b.part[3])}};
  }
  // Codes of k..k+3 and of k+4..k+7 times eight values of each of two rows.
  static void dot_pair(Int* first, Int* second, Codes low, Codes high, const int8_t* q) {
    const int8x16_t y = vld1q_s8(q);
    const auto add = [&](int32x4_t* sums, int i) {
      const uint32x4_t a = vreinterpretq_u32_u8(low.part[i]);
      const uint32x4_t b = vreinterpretq_u32_u8(high.part[i]);
      sums[0] = vusmmlaq_s32(sums[0], vreinterpretq_u8_u32(vzip1q_u32(a, b)), y);
      sums[1] = vusmmlaq_s32(sums[1], vreinterpretq_u8_u32(vzip2q_u32(a, b)), y);
    };
    add(first->part, 0);
    add(first->part + 2, 1);
    add(second->part, 2);
    add(second->part + 2, 3);
  }
};

#else

struct NeonDotprod : Neon {
  static constexpr bool kPairs = false;
  // sdot takes codes of 8 bits signed, as code - 128.
  static constexpr int kByteOffset = 128;

  static Int dot_nibbles(Int sum, Codes low, Codes high, const int8_t* q) {
    const int8x8_t y = vld1_s8(q);
    return each<Int>([&](int i) {
      const int32x4_t half = vdotq_lane_s32(sum.part[i], vreinterpretq_s8_u8(low.part[i]), y, 0);
      return vdotq_lane_s32(half, vreinterpretq_s8_u8(high.part[i]), y, 1);
    });
  }
  static Int dot_bytes(Int sum, Codes codes, const int8_t* q) {
    const int8x16_t y = four(q);
    return each<Int>([&](int i) {
      const uint8x16_t offset = veorq_u8(codes.part[i], vdupq_n_u8(0x80));
      return vdotq_s32(sum.part[i], vreinterpretq_s8_u8(offset), y);
    });
  }
};

#endif

}  // namespace
}  // namespace nanoaccel
