// Codes of 4 bits that stand for the numbers of a table.
#pragma once

#include <cstdint>
#include <cstring>

namespace nanoaccel {

constexpr int kTableSize = 16;

// e2m1, the numbers of MXFP4: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives. They are whole
// halves, so a byte holds them exactly; unsigned ones, around a zero point, as the dot products
// want them. https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
constexpr uint8_t kE2m1Zero = 12;
constexpr float kE2m1Unit = 0.5F;
alignas(kTableSize) constexpr uint8_t kE2m1[kTableSize] = {12, 13, 14, 15, 16, 18, 20, 24,
                                                           12, 11, 10, 9,  8,  6,  4,  0};

// e8m0, the scales of MXFP4: a power of two; 255 is no number.
inline float from_e8m0(uint8_t exponent) {
  uint32_t bits = static_cast<uint32_t>(exponent) << 23U;
  if (exponent == 0) bits = 0x00400000U;  // 2^-127, below the normal numbers
  if (exponent == 255) bits = 0x7fc00000U;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace nanoaccel
