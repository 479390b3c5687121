// Floats of 16 bits, and whether they hold a number of 32 bits exactly.
#pragma once

#include <cstdint>
#include <cstring>

namespace nanoaccel {

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline bool is_bfloat16(float value) { return (bits_of(value) & 0xffffU) == 0; }

// Whether a number is zero or a normal f16, and which.
inline bool as_half(float value, uint16_t* half) {
  const uint32_t bits = bits_of(value);
  const uint32_t sign = (bits >> 16U) & 0x8000U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  *half = static_cast<uint16_t>(sign);
  if (magnitude == 0) return true;
  constexpr uint32_t kLeast = 113U << 23U;
  constexpr uint32_t kBeyond = 143U << 23U;
  if (magnitude < kLeast || magnitude >= kBeyond || (magnitude & 0x1fffU) != 0) return false;
  *half = static_cast<uint16_t>(sign | ((magnitude - (112U << 23U)) >> 13U));
  return true;
}

}  // namespace nanoaccel
