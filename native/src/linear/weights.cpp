#include "linear/weights.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace nanoaccel {
namespace {

std::string source_problem(const LinearSource& s) {
  if (s.bits != 4 && s.bits != 8) return "bits is neither 4 nor 8";
  if (s.group < kTile || s.group > kMaxGroup || (s.group & (s.group - 1)) != 0) {
    return "block_size is no power of two from 16 to 256";
  }
  const std::string problem = shape_problem(s);
  if (!problem.empty()) return problem;
  if (s.codes.size != s.outputs * s.groups() * s.group * s.bits / 8) {
    return "codes do not fit K and N";
  }
  if (s.exponents.data != nullptr && (s.bits != 4 || s.group != kMxGroup)) {
    return "exponents go with codes of 4 bits in groups of 32";
  }
  return groups_problem(s);
}

constexpr uint8_t kMiddle = 128;  // of codes of 8 bits without zero points
constexpr uint8_t kNone = 16;
// E2M1 codes of 0 to 12, the doubled numbers.
constexpr uint8_t kCodeOf[] = {0, 1, 2, 3, 4, kNone, 5, kNone, 6, kNone, kNone, kNone, 7};
constexpr int kLargest = 12;

uint8_t e2m1_of(uint8_t code) {
  const int number = code - kMiddle;
  const int size = number < 0 ? -number : number;
  if (size > kLargest || kCodeOf[size] == kNone) return kNone;
  return static_cast<uint8_t>(kCodeOf[size] + (number < 0 ? 8 : 0));
}

// Codes of 8 bits as E2M1 numbers; nothing where some are no such number.
std::vector<uint8_t> as_e2m1(const LinearSource& s) {
  if (s.bits != 8 || s.zeros.data != nullptr) return {};
  std::vector<uint8_t> pairs(static_cast<size_t>(s.codes.size / 2));
  for (size_t i = 0; i < pairs.size(); ++i) {
    const uint8_t low = e2m1_of(s.codes.data[2 * i]);
    const uint8_t high = e2m1_of(s.codes.data[2 * i + 1]);
    if (low == kNone || high == kNone) return {};
    pairs[i] = static_cast<uint8_t>(low | high << 4U);
  }
  return pairs;
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

}  // namespace

std::string PackedWeights::pack(const LinearSource& source) {
  std::string problem = source_problem(source);
  if (!problem.empty()) return problem;
  LinearSource packed = source;
  const std::vector<uint8_t> narrow = as_e2m1(source);
  if (!narrow.empty()) {
    packed.codes = {narrow.data(), static_cast<int64_t>(narrow.size())};
    packed.bits = 4;
    packed.doubled = true;
  }
  allocate(packed);
  for (int64_t unit = 0; unit < view_.units; ++unit) pack_unit(packed, unit);
  return "";
}

void PackedWeights::allocate(const LinearSource& source) {
  gated_ = source.gated;
  outputs_ = gated_ ? source.outputs / 2 : source.outputs;
  const int64_t unit_outputs = gated_ ? kTile : kTile * kUnitTiles;
  view_.units = (outputs_ + unit_outputs - 1) / unit_outputs;
  view_.inputs = source.inputs;
  view_.groups = source.groups();
  view_.group = static_cast<int>(source.group);
  const bool e2m1 = source.doubled || source.exponents.data != nullptr;
  view_.coding = source.bits == 8 ? Coding::kBytes : e2m1 ? Coding::kE2m1 : Coding::kNibbles;
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
        pack_groups(source, row, unit, lane, {scales_, view_.half, zeros_});
        if (bias_ != nullptr) bias_[unit * kUnitTiles * kTile + lane] = source.bias.data[row];
      }
      rows[i] = source.codes.data + std::max<int64_t>(last, 0) * row_bytes;
    }
    if (last < 0) continue;
    uint8_t* to = codes_ + unit * row_bytes * kUnitTiles * kTile + tile * kTileBytes;
    (source.bits == 4 ? pack_tile<true> : pack_tile<false>)(rows, row_bytes, to);
  }
}

}  // namespace nanoaccel
