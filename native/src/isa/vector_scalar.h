// 16 lanes in plain C++: the reference that every other path equals bit for bit.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace nanoaccel {
namespace {

struct Scalar {
  static constexpr int kRows = 4;        // of activations that are multiplied together
  static constexpr bool kPairs = false;  // whether two rows are multiplied by one instruction
  // Tiles of weights that are multiplied with so many rows: what the registers hold.
  static constexpr int tiles(int) { return 1; }
  static constexpr int kByteOffset = 0;

  struct Float {
    float lane[16];
  };
  struct Int {
    int32_t lane[16];
  };
  struct Codes {
    uint8_t byte[64];
  };

  template <class Out, class Function>
  static Out each(Function function) {
    Out out;
    for (int i = 0; i < 16; ++i) out.lane[i] = function(i);
    return out;
  }

  static Float set(float value) {
    return each<Float>([=](int) { return value; });
  }
  static Float load(const float* p) {
    return each<Float>([=](int i) { return p[i]; });
  }
  static Float load(const float* p, int count) {
    return each<Float>([=](int i) { return i < count ? p[i] : 0.0F; });
  }
  static Float load_half(const uint16_t* p) {
    return each<Float>([=](int i) { return from_half(p[i]); });
  }
  static Int load_signed_bytes(const int8_t* p) {
    return each<Int>([=](int i) { return static_cast<int32_t>(p[i]); });
  }
  // 16 first and 16 second numbers, each first one beside its second.
  static void load_bfloat16_pairs(const uint16_t* p, Float* first, Float* second) {
    *first = each<Float>([=](int i) { return from_bfloat16(p[2 * i]); });
    *second = each<Float>([=](int i) { return from_bfloat16(p[2 * i + 1]); });
  }
  // 16 first and 16 second numbers from 0 to 15, each first one in the lower half of a byte.
  static void load_nibble_pairs(const uint8_t* p, Float* first, Float* second) {
    *first = each<Float>([=](int i) { return static_cast<float>(p[i] & 15); });
    *second = each<Float>([=](int i) { return static_cast<float>(p[i] >> 4); });
  }
  static void store_half(uint16_t* p, Float v) {
    for (int i = 0; i < 16; ++i) p[i] = to_half(v.lane[i]);
  }
  static void store(float* p, Float v) { std::memcpy(p, v.lane, sizeof v.lane); }
  static void store(float* p, Float v, int count) {
    std::memcpy(p, v.lane, static_cast<size_t>(count) * sizeof(float));
  }
  // Lanes from begin to end - 1, which lie in 0 to 16; ``otherwise`` in the others.
  static Float within(Float v, int begin, int end, float otherwise) {
    return each<Float>([&](int i) { return i >= begin && i < end ? v.lane[i] : otherwise; });
  }
  static Float add(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] + b.lane[i]; });
  }
  static Float mul(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] * b.lane[i]; });
  }
  static Float div(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] / b.lane[i]; });
  }
  static Float fma(Float a, Float b, Float c) {
    return each<Float>([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
  }
  static Float max(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Float min(Float a, Float b) {
    return each<Float>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Float abs(Float a) {
    return each<Float>([&](int i) { return std::fabs(a.lane[i]); });
  }
  // The most of all lanes, by halves: one order on every path, which tells for what is no number.
  static float max_of(Float a) {
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) {
        if (!(a.lane[i] > a.lane[i + half])) a.lane[i] = a.lane[i + half];
      }
    }
    return a.lane[0];
  }
  static float sum_of(Float a) {
    for (int half = 8; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) a.lane[i] += a.lane[i + half];
    }
    return a.lane[0];
  }
  static Int round(Float a) {
    return each<Int>([&](int i) { return to_int(a.lane[i]); });
  }
  static Float to_float(Int a) {
    return each<Float>([&](int i) { return static_cast<float>(a.lane[i]); });
  }
  // 2 to the power of each lane.
  static Float exp2(Int a) {
    return each<Float>([&](int i) {
      const uint32_t bits = static_cast<uint32_t>(a.lane[i] + 127) << 23U;
      float value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    });
  }

  // Lanes of x where a < b, else those of y.
  static Float where_less(Float a, Float b, Float x, Float y) {
    return each<Float>([&](int i) { return a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i]; });
  }
  // The numbers of a table of 16 that the lowest four bits of each lane stand for.
  static Float look_up(const float* table, Int nibbles) {
    return each<Float>([&](int i) { return table[nibbles.lane[i] & 15]; });
  }

  static Int set_int(int32_t value) {
    return each<Int>([=](int) { return value; });
  }
  static Int add_int(Int a, Int b) {
    return each<Int>([&](int i) { return wrapped(a.lane[i], b.lane[i]); });
  }
  // Zeros come in from above.
  template <int Bits>
  static Int shift_right(Int a) {
    return each<Int>(
        [&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) >> Bits); });
  }
  static Int low_byte(Int a) {
    return each<Int>([&](int i) { return a.lane[i] & 255; });
  }
  static uint32_t sum(Int a) {
    uint32_t total = 0;
    for (const int32_t lane : a.lane) total += static_cast<uint32_t>(lane);
    return total;
  }
  static Int load_bytes(const uint8_t* p) {
    return each<Int>([=](int i) { return static_cast<int32_t>(p[i]); });
  }
  static void store_bytes(int8_t* p, Int a) {
    for (int i = 0; i < 16; ++i) {
      const int32_t value = a.lane[i] < -128 ? -128 : a.lane[i];
      p[i] = static_cast<int8_t>(value > 127 ? 127 : value);
    }
  }
  // Products of the lower 16 bits, both signed; the upper 16 bits of the factor are 0.
  static Int mul_low(Int a, const uint32_t* factor) {
    const auto b = static_cast<int16_t>(*factor);
    return each<Int>([&](int i) { return static_cast<int16_t>(a.lane[i]) * b; });
  }

  static Int load_words(const uint8_t* p) {
    Int out;
    std::memcpy(out.lane, p, sizeof out.lane);
    return out;
  }
  static Codes load_codes(const uint8_t* p) {
    Codes out;
    std::memcpy(out.byte, p, sizeof out.byte);
    return out;
  }
  static Codes low(Codes a) {
    for (uint8_t& byte : a.byte) byte &= 15U;
    return a;
  }
  // The bytes of a table of 16 that nibbles stand for.
  static Codes look_up_bytes(const uint8_t* table, Codes nibbles) {
    for (uint8_t& byte : nibbles.byte) byte = table[byte];
    return nibbles;
  }
  static Codes high(Codes a) {
    for (uint8_t& byte : a.byte) byte = static_cast<uint8_t>(byte >> 4U);
    return a;
  }
  static Int dot_nibbles(Int sum, Codes low, Codes high, const int8_t* q) {
    return dot_bytes(dot_bytes(sum, low, q), high, q + 4);
  }
  static Int dot_bytes(Int sum, Codes codes, const int8_t* q) {
    for (int i = 0; i < 64; ++i) sum.lane[i / 4] += codes.byte[i] * q[i % 4];
    return sum;
  }

 private:
  // As the vector instructions add: what infinite activations round to may overflow.
  static int32_t wrapped(int32_t a, int32_t b) {
    return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
  }

  // As the vector instructions convert: to the nearest even, and what does not fit to the least.
  static int32_t to_int(float value) {
    if (!(value >= -2147483648.0F && value < 2147483648.0F)) return INT32_MIN;
    return static_cast<int32_t>(std::nearbyintf(value));
  }

  static float from_bfloat16(uint16_t upper) {
    const uint32_t bits = static_cast<uint32_t>(upper) << 16U;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  // To the nearest, ties to even.
  static uint16_t to_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    const uint32_t sign = (bits >> 16U) & 0x8000U;
    const uint32_t magnitude = bits & 0x7fffffffU;
    constexpr uint32_t kInfinite = 0x7f800000U;
    constexpr uint32_t kLeastNormal = 113U << 23U;
    if (magnitude > kInfinite) {
      return static_cast<uint16_t>(sign | 0x7e00U | ((magnitude >> 13U) & 0x1ffU));
    }
    if (magnitude < kLeastNormal) {
      return static_cast<uint16_t>(sign |
                                   static_cast<uint32_t>(to_int(std::fabs(value) * 0x1p24F)));
    }
    const uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13U) & 1U);
    const uint32_t half = (rounded - (112U << 23U)) >> 13U;
    return static_cast<uint16_t>(sign | (half < 0x7c00U ? half : 0x7c00U));
  }

  static float from_half(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16U;
    const uint32_t exponent = (half >> 10U) & 31U;
    const uint32_t fraction = half & 0x3ffU;
    if (exponent == 0) {
      const float value = static_cast<float>(fraction) * 0x1p-24F;
      return sign == 0 ? value : -value;
    }
    const uint32_t widened = exponent == 31 ? 255 : exponent + 112;
    const uint32_t bits = sign | (widened << 23U) | (fraction << 13U);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

}  // namespace
}  // namespace nanoaccel
