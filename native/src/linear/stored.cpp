#include "linear/stored.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "linear/kernels.h"
#include "linear/narrow.h"

namespace nanoaccel {
namespace {

constexpr uint8_t kMiddle = 128;      // of 8 bits
constexpr uint8_t kNoExponent = 255;  // a NaN

int64_t scales_of(const StoredMatrix& s) {
  if (s.exponents.data != nullptr) return s.exponents.size;
  return s.scales.data != nullptr ? s.scales.size : s.half_scales.size;
}

// A scale of what is not stored in f16; of E2M1 numbers that are doubled, half of theirs.
float scale_at(const StoredMatrix& s, int64_t index) {
  if (s.exponents.data == nullptr) return s.scales.data[index];
  constexpr uint32_t kHalfOfLeast = 1U << 21U;  // 2^-128 is no normal number, nor is 2^-127
  const uint32_t exponent = s.exponents.data[index];
  const uint32_t bits = exponent < 2 ? kHalfOfLeast << exponent : (exponent - 1) << 23U;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power * s.factor;
}

// Groups of a row that have numbers of their own: 0 when the size does not fit.
int64_t own_groups(int64_t size, int64_t outputs, int64_t groups) {
  if (size <= 0 || size % outputs != 0) return 0;
  const int64_t own = size / outputs;
  return own <= groups && groups % own == 0 ? own : 0;
}

bool all_finite(const StoredMatrix& s) {
  const auto finite = [](float scale) { return std::isfinite(scale); };
  if (s.exponents.data != nullptr) {
    for (int64_t i = 0; i < s.exponents.size; ++i) {
      if (s.exponents.data[i] == kNoExponent || !finite(scale_at(s, i))) return false;
    }
    return true;
  }
  const auto half_finite = [](uint16_t scale) { return (scale & 0x7c00U) != 0x7c00U; };
  if (s.scales.data != nullptr) {
    return std::all_of(s.scales.data, s.scales.data + s.scales.size, finite);
  }
  return std::all_of(s.half_scales.data, s.half_scales.data + s.half_scales.size, half_finite);
}

uint8_t zero_of(const StoredMatrix& s, int64_t row, int64_t group, int64_t groups) {
  if (s.zeros.data == nullptr) return kMiddle;
  if (s.bits == 4) {
    const uint8_t pair = s.zeros.data[row * ((groups + 1) / 2) + group / 2];
    return group % 2 == 0 ? pair & 15U : static_cast<uint8_t>(pair >> 4U);
  }
  const int64_t own = s.zeros.size / s.outputs;
  return s.zeros.data[row * own + group * own / groups];
}

}  // namespace

std::string shape_problem(const StoredMatrix& s) {
  if (s.inputs < 1 || s.inputs > kMostInputs) return "K is out of range";
  if (s.outputs < 1 || s.outputs > kMostOutputs) return "N is out of range";
  if (s.gated && s.outputs % 2 != 0) return "N is odd, and half of it are gates";
  if (s.bias.data != nullptr && s.bias.size != s.outputs) return "the bias does not fit N";
  return "";
}

std::string groups_problem(const StoredMatrix& s) {
  const int64_t groups = s.groups();
  if (own_groups(scales_of(s), s.outputs, groups) == 0) {
    return "scales do not fit K, N and block_size";
  }
  if (s.zeros.data != nullptr) {
    const bool fits = s.bits == 4 ? s.zeros.size == s.outputs * ((groups + 1) / 2)
                                  : own_groups(s.zeros.size, s.outputs, groups) != 0;
    if (!fits) return "zero points do not fit K, N and block_size";
  }
  if (s.exponents.data != nullptr && s.zeros.data != nullptr) {
    return "zero points do not go with exponents";
  }
  return all_finite(s) ? "" : "scales are not finite";
}

bool all_half(const StoredMatrix& s) {
  if (s.half_scales.data != nullptr) return true;
  uint16_t ignored;
  for (int64_t i = 0; i < scales_of(s); ++i) {
    if (!as_half(scale_at(s, i), &ignored)) return false;
  }
  return true;
}

void pack_groups(const StoredMatrix& s, int64_t row, int64_t unit, int64_t lane,
                 const GroupPlaces& to) {
  constexpr int64_t kLanes = kUnitTiles * kTile;
  const int64_t groups = s.groups();
  const int64_t own = scales_of(s) / s.outputs;
  const int64_t shared = groups / own;
  int64_t place = unit * groups * kLanes + lane;
  for (int64_t group = 0; group < groups; ++group, place += kLanes) {
    const int64_t from = row * own + (shared == 1 ? group : group / shared);
    if (!to.half) {
      static_cast<float*>(to.scales)[place] = scale_at(s, from);
    } else if (s.half_scales.data != nullptr) {
      static_cast<uint16_t*>(to.scales)[place] = s.half_scales.data[from];
    } else {
      as_half(scale_at(s, from), static_cast<uint16_t*>(to.scales) + place);
    }
    if (to.zeros != nullptr) to.zeros[place] = zero_of(s, row, group, groups);
  }
}

}  // namespace nanoaccel
