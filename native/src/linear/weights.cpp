#include "linear/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace nanoaccel {
namespace {

constexpr int64_t kMostInputs = int64_t{1} << 24;
constexpr int64_t kMostOutputs = int64_t{1} << 28;

int64_t groups_of(const LinearSource& s) { return (s.inputs + s.group - 1) / s.group; }

// Groups of a row that have numbers of their own: 0 when the size does not fit.
int64_t own_groups(int64_t size, int64_t outputs, int64_t groups) {
  if (size <= 0 || size % outputs != 0) return 0;
  const int64_t own = size / outputs;
  return own <= groups && groups % own == 0 ? own : 0;
}

std::string shape_problem(const LinearSource& s) {
  if (s.bits != 4 && s.bits != 8) return "bits is neither 4 nor 8";
  if (s.group < kTile || s.group > kMaxGroup || (s.group & (s.group - 1)) != 0) {
    return "block_size is no power of two from 16 to 256";
  }
  if (s.inputs < 1 || s.inputs > kMostInputs) return "K is out of range";
  if (s.outputs < 1 || s.outputs > kMostOutputs) return "N is out of range";
  if (s.gated && s.outputs % 2 != 0) return "N is odd, and half of it are gates";
  return "";
}

std::string size_problem(const LinearSource& s) {
  const int64_t groups = groups_of(s);
  if (s.codes.size != s.outputs * groups * s.group * s.bits / 8) return "codes do not fit K and N";
  const int64_t scales = s.scales.data != nullptr ? s.scales.size : s.half_scales.size;
  if (own_groups(scales, s.outputs, groups) == 0) return "scales do not fit K, N and block_size";
  if (s.bias.data != nullptr && s.bias.size != s.outputs) return "the bias does not fit N";
  if (s.zeros.data == nullptr) return "";
  const bool fits = s.bits == 4 ? s.zeros.size == s.outputs * ((groups + 1) / 2)
                                : own_groups(s.zeros.size, s.outputs, groups) != 0;
  return fits ? "" : "zero points do not fit K, N and block_size";
}

// Whether a number is zero or a normal f16, and which.
bool as_half(float value, uint16_t* half) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
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

bool all_finite(const LinearSource& s) {
  const auto finite = [](float scale) { return std::isfinite(scale); };
  const auto half_finite = [](uint16_t scale) { return (scale & 0x7c00U) != 0x7c00U; };
  if (s.scales.data != nullptr) {
    return std::all_of(s.scales.data, s.scales.data + s.scales.size, finite);
  }
  return std::all_of(s.half_scales.data, s.half_scales.data + s.half_scales.size, half_finite);
}

bool all_half(const LinearSource& s) {
  if (s.scales.data == nullptr) return true;
  uint16_t ignored;
  for (int64_t i = 0; i < s.scales.size; ++i) {
    if (!as_half(s.scales.data[i], &ignored)) return false;
  }
  return true;
}

// Eight nibbles 0..7 in the order 0 4 1 5 2 6 3 7.
inline uint32_t interleave_nibbles(uint32_t x) {
  uint32_t swapped = (x ^ (x >> 8U)) & 0x0000ff00U;
  x ^= swapped ^ (swapped << 8U);
  swapped = (x ^ (x >> 4U)) & 0x00f000f0U;
  return x ^ swapped ^ (swapped << 4U);
}

// The codes of 16 rows into their tile of a unit: four bytes of each row in turn make its 64.
template <bool Nibbles>
void pack_tile(const uint8_t* const (&rows)[kTile], int64_t bytes, uint8_t* tile) {
  for (int64_t i = 0; i < bytes; i += 4, tile += kUnitTiles * kTileBytes) {
    uint32_t fours[kTile];
    for (int lane = 0; lane < kTile; ++lane) std::memcpy(fours + lane, rows[lane] + i, 4);
    if (Nibbles) {
      for (uint32_t& four : fours) four = interleave_nibbles(four);
    }
    std::memcpy(tile, fours, sizeof fours);
  }
}

uint8_t zero_of(const LinearSource& s, int64_t row, int64_t group, int64_t groups) {
  if (s.bits == 4) {
    const uint8_t pair = s.zeros.data[row * ((groups + 1) / 2) + group / 2];
    return group % 2 == 0 ? pair & 15U : static_cast<uint8_t>(pair >> 4U);
  }
  const int64_t own = s.zeros.size / s.outputs;
  return s.zeros.data[row * own + group * own / groups];
}

}  // namespace

std::string PackedWeights::pack(const LinearSource& source) {
  std::string problem = shape_problem(source);
  if (problem.empty()) problem = size_problem(source);
  if (problem.empty() && !all_finite(source)) problem = "scales are not finite";
  if (!problem.empty()) return problem;
  allocate(source);
  for (int64_t unit = 0; unit < view_.units; ++unit) pack_unit(source, unit);
  return "";
}

void PackedWeights::allocate(const LinearSource& source) {
  gated_ = source.gated;
  outputs_ = gated_ ? source.outputs / 2 : source.outputs;
  const int64_t unit_outputs = gated_ ? kTile : kTile * kUnitTiles;
  view_.units = (outputs_ + unit_outputs - 1) / unit_outputs;
  view_.inputs = source.inputs;
  view_.groups = groups_of(source);
  view_.group = static_cast<int>(source.group);
  view_.bits = static_cast<int>(source.bits);
  view_.half = all_half(source);

  const auto lanes = static_cast<size_t>(view_.units) * kUnitTiles * kTile;
  const size_t numbers = lanes * static_cast<size_t>(view_.groups);  // one for each row and group
  const size_t codes = numbers * static_cast<size_t>(source.group * source.bits / 8);
  const size_t scales = numbers * (view_.half ? sizeof(uint16_t) : sizeof(float));
  const size_t bias = lanes * sizeof(float);
  const size_t zeros = source.zeros.data != nullptr ? numbers : 0;
  const bool biased = source.bias.data != nullptr;
  memory_ = ArenaBytes::allocate(codes + scales + (biased ? bias : 0) + zeros);
  uint8_t* next = memory_.data();
  view_.codes = codes_ = next;
  view_.scales = scales_ = next += codes;
  next += scales;
  if (biased) {
    bias_ = reinterpret_cast<float*>(next);
    next += bias;
  }
  if (zeros > 0) view_.zeros = zeros_ = next;
}

// The row of the source that stands in a lane of a unit, -1 for none.
int64_t PackedWeights::row_of(const LinearSource& source, int64_t unit, int64_t lane) const {
  if (!gated_) {
    const int64_t row = unit * kUnitTiles * kTile + lane;
    return row < source.outputs ? row : -1;
  }
  const int64_t column = unit * kTile + lane % kTile;
  return column < outputs_ ? lane / kTile * outputs_ + column : -1;
}

void PackedWeights::pack_unit(const LinearSource& source, int64_t unit) {
  const int64_t row_bytes = view_.groups * source.group * source.bits / 8;
  for (int64_t tile = 0; tile < kUnitTiles; ++tile) {
    const uint8_t* rows[kTile];
    int64_t last = -1;
    for (int64_t i = 0; i < kTile; ++i) {
      const int64_t lane = tile * kTile + i;
      const int64_t row = row_of(source, unit, lane);
      // A missing row's codes may be any: its scales are zeros, and its outputs are not written.
      if (row >= 0) {
        last = row;
        pack_numbers(source, row, unit, lane);
      }
      rows[i] = source.codes.data + std::max<int64_t>(last, 0) * row_bytes;
    }
    if (last < 0) continue;
    uint8_t* to = codes_ + unit * row_bytes * kUnitTiles * kTile + tile * kTileBytes;
    (source.bits == 4 ? pack_tile<true> : pack_tile<false>)(rows, row_bytes, to);
  }
}

// Scales, zero points and bias of a row.
void PackedWeights::pack_numbers(const LinearSource& s, int64_t row, int64_t unit, int64_t lane) {
  const int64_t groups = view_.groups;
  const int64_t own = (s.scales.data != nullptr ? s.scales.size : s.half_scales.size) / s.outputs;
  const int64_t shared = groups / own;
  constexpr int64_t kLanes = kUnitTiles * kTile;
  if (bias_ != nullptr) bias_[unit * kLanes + lane] = s.bias.data[row];
  int64_t to = unit * groups * kLanes + lane;
  for (int64_t group = 0; group < groups; ++group, to += kLanes) {
    const int64_t from = row * own + (shared == 1 ? group : group / shared);
    if (!view_.half) {
      static_cast<float*>(scales_)[to] = s.scales.data[from];
    } else if (s.scales.data == nullptr) {
      static_cast<uint16_t*>(scales_)[to] = s.half_scales.data[from];
    } else {
      as_half(s.scales.data[from], static_cast<uint16_t*>(scales_) + to);
    }
    if (zeros_ != nullptr) zeros_[to] = zero_of(s, row, group, groups);
  }
}

}  // namespace nanoaccel
