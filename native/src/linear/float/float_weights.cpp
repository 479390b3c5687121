#include "linear/float/float_weights.h"

#include <cstring>

#include "linear/float/table.h"
#include "linear/narrow.h"

namespace nanoaccel {
namespace {

constexpr int64_t kLanes = kUnitTiles * kTile;

bool is_float(Stored stored) { return stored <= Stored::kBfloat16; }

std::string floats_problem(const FloatSource& s) {
  const int64_t bytes = s.stored == Stored::kFloat32 ? 4 : 2;
  return s.values.size == s.inputs * s.outputs * bytes ? "" : "the weights do not fit K and N";
}

std::string codes_problem(const FloatSource& s) {
  if (s.bits != 4 && s.bits != 8) return "bits is neither 4 nor 8";
  if (s.group < kTile || s.group % kTile != 0 || s.group > kMostInputs) {
    return "block_size is no multiple of 16";
  }
  if (s.exponents.data != nullptr) return "exponents do not go with a float linear";
  const bool table = s.stored != Stored::kIntegers;
  if (table && (s.bits != 4 || s.inputs % s.group != 0)) return "block_size does not divide K";
  if (table && s.zeros.data != nullptr) return "zero points do not fit K, N and block_size";
  if (s.values.size != s.outputs * s.groups() * s.group * s.bits / 8) {
    return "codes do not fit K and N";
  }
  return groups_problem(s);
}

float float_at(const FloatSource& s, int64_t index) {
  float value;
  std::memcpy(&value, s.values.data + index * 4, sizeof value);
  return value;
}

// The narrowest format that holds all numbers.
Format format_of(const FloatSource& s) {
  if (s.stored == Stored::kFloat16) return Format::kFloat16;
  if (s.stored == Stored::kBfloat16) return Format::kBfloat16;
  if (s.stored != Stored::kFloat32) return s.bits == 4 ? Format::kNibbles : Format::kBytes;
  bool bfloat16 = true;
  bool half = true;
  uint16_t ignored;
  for (int64_t i = 0; i < s.inputs * s.outputs && (bfloat16 || half); ++i) {
    const float value = float_at(s, i);
    bfloat16 = bfloat16 && is_bfloat16(value);
    half = half && as_half(value, &ignored);
  }
  return bfloat16 ? Format::kBfloat16 : half ? Format::kFloat16 : Format::kFloat32;
}

int64_t step_bytes(Format format) { return format == Format::kFloat16 ? 32 : kTileBytes; }

int64_t step_of(Format format) {
  switch (format) {
    case Format::kNibbles:
      return 8;
    case Format::kBytes:
      return 4;
    case Format::kBfloat16:
      return 2;
    default:
      return 1;
  }
}

// What the codes of MatMulNBits without zero points, and those of MatMulBnb4, stand for.
const float* table_of(const FloatSource& s) {
  if (s.stored == Stored::kNf4) return kNf4;
  if (s.stored == Stored::kFp4) return kFp4;
  return s.zeros.data != nullptr ? kUnsigned : kSigned;
}

uint32_t swap_nibbles(uint32_t word) {
  return ((word & 0x0f0f0f0fU) << 4U) | ((word >> 4U) & 0x0f0f0f0fU);
}

// A number from a file to its place.
using Convert = void (*)(const uint8_t* from, uint8_t* to);

template <int Size>
void copy(const uint8_t* from, uint8_t* to) {
  std::memcpy(to, from, Size);
}

void narrow_to_bfloat16(const uint8_t* from, uint8_t* to) { std::memcpy(to, from + 2, 2); }

void narrow_to_half(const uint8_t* from, uint8_t* to) {
  float value;
  uint16_t half;
  std::memcpy(&value, from, sizeof value);
  as_half(value, &half);
  std::memcpy(to, &half, sizeof half);
}

// Some rows of a matrix, at most 16: the k-th number of each to its place behind ``lanes``.
struct Rows {
  const uint8_t* from;  // of the first row
  int64_t row_stride;   // in bytes
  int64_t k_stride;
  uint8_t* lanes[kTile];
  int64_t count;
};

template <Convert Function>
void pack_rows(const Rows& rows, int64_t inputs, int64_t step, int64_t step_stride) {
  for (int64_t k = 0; k < inputs; ++k) {
    const uint8_t* from = rows.from + k * rows.k_stride;
    const int64_t to = k / step * step_stride + k % step * 2;  // of pairs the later one is behind
    for (int64_t i = 0; i < rows.count; ++i)
      Function(from + i * rows.row_stride, rows.lanes[i] + to);
  }
}

auto packer(Stored stored, Format format) {
  if (stored != Stored::kFloat32) return pack_rows<copy<2>>;
  if (format == Format::kFloat32) return pack_rows<copy<4>>;
  return format == Format::kBfloat16 ? pack_rows<narrow_to_bfloat16> : pack_rows<narrow_to_half>;
}

}  // namespace

std::string FloatWeights::pack(const FloatSource& source) {
  std::string problem = shape_problem(source);
  const bool floats = is_float(source.stored);
  if (problem.empty()) problem = floats ? floats_problem(source) : codes_problem(source);
  if (!problem.empty()) return problem;
  gated_ = source.gated;
  outputs_ = gated_ ? source.outputs / 2 : source.outputs;
  const int64_t unit_outputs = gated_ ? kTile : kLanes;
  view_.units = (outputs_ + unit_outputs - 1) / unit_outputs;
  view_.inputs = source.inputs;
  view_.format = format_of(source);
  view_.padded = (source.inputs + kFloatStep - 1) / kFloatStep * kFloatStep;
  view_.group = view_.padded;
  view_.groups = 1;
  if (!floats) {
    view_.group = source.group;
    view_.groups = source.groups();
    view_.padded = view_.group * view_.groups;
    view_.half = all_half(source);
    view_.table = table_of(source);
  }
  allocate(source);
  if (floats) {
    pack_floats(source);
  } else {
    pack_codes(source);
  }
  for (int64_t row = 0; row < source.outputs; ++row) {
    const Place place = place_of(row);
    if (!floats) {
      pack_groups(source, row, place.unit, place.lane, {scales_, view_.half, zeros_});
    }
    if (bias_ != nullptr) bias_[place.unit * kLanes + place.lane] = source.bias.data[row];
  }
  return "";
}

// Rows that are missing stay zeros.
void FloatWeights::allocate(const FloatSource& source) {
  const auto tiles = static_cast<size_t>(view_.units * kUnitTiles);
  const auto steps = static_cast<size_t>(view_.padded / step_of(view_.format));
  const size_t values = tiles * steps * static_cast<size_t>(step_bytes(view_.format));
  const size_t numbers =
      is_float(source.stored) ? 0 : tiles * kTile * static_cast<size_t>(view_.groups);
  const size_t scales = numbers * (view_.half ? sizeof(uint16_t) : sizeof(float));
  const size_t bias = source.bias.data != nullptr ? tiles * kTile * sizeof(float) : 0;
  const bool zeros = source.zeros.data != nullptr || source.bits == 8;
  memory_ = ArenaBytes::allocate(values + scales + bias + (zeros ? numbers : 0));
  uint8_t* next = memory_.data();
  view_.values = values_ = next;
  next += values;
  if (scales > 0) view_.scales = scales_ = next;
  next += scales;
  if (bias > 0) bias_ = reinterpret_cast<float*>(next);
  next += bias;
  if (zeros && numbers > 0) view_.zeros = zeros_ = next;
}

FloatWeights::Place FloatWeights::place_of(int64_t row) const {
  const int64_t unit_outputs = gated_ ? kTile : kLanes;
  const int64_t column = row % outputs_;
  return {column / unit_outputs, row / outputs_ * kTile + column % unit_outputs};
}

void FloatWeights::pack_floats(const FloatSource& s) {
  const int64_t step = step_of(view_.format);
  const int64_t bytes = step_bytes(view_.format);
  const int64_t size = s.stored == Stored::kFloat32 ? 4 : 2;
  const auto pack = packer(s.stored, view_.format);
  for (int64_t first = 0; first < s.outputs; first += kTile) {
    Rows rows = {};
    rows.row_stride = size * (s.rows ? s.inputs : 1);
    rows.k_stride = size * (s.rows ? 1 : s.outputs);
    rows.from = s.values.data + first * rows.row_stride;
    rows.count = s.outputs - first < kTile ? s.outputs - first : kTile;
    for (int64_t i = 0; i < rows.count; ++i) {
      const Place place = place_of(first + i);
      const int64_t tile = place.unit * view_.padded / step * kUnitTiles + place.lane / kTile;
      rows.lanes[i] = values_ + tile * bytes + place.lane % kTile * (bytes / kTile);
    }
    pack(rows, s.inputs, step, bytes * kUnitTiles);
  }
}

void FloatWeights::pack_codes(const FloatSource& s) {
  const int64_t words = view_.padded / step_of(view_.format);
  for (int64_t row = 0; row < s.outputs; ++row) {
    const Place place = place_of(row);
    const uint8_t* from = s.values.data + row * words * 4;
    const int64_t in_unit = place.lane / kTile * kTileBytes + place.lane % kTile * 4;
    uint8_t* to = values_ + place.unit * words * kUnitTiles * kTileBytes + in_unit;
    for (int64_t i = 0; i < words; ++i, from += 4, to += kUnitTiles * kTileBytes) {
      uint32_t word;
      std::memcpy(&word, from, sizeof word);
      if (s.stored != Stored::kIntegers) word = swap_nibbles(word);
      std::memcpy(to, &word, sizeof word);
    }
  }
}

}  // namespace nanoaccel
