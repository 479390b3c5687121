#include "low_rank/adapter.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "linear/narrow.h"

namespace nanoaccel {
namespace {

constexpr int64_t kMostRank = 4096;
constexpr int64_t kMostMatrices = 1 << 20;
constexpr int64_t kMostSize = int64_t{1} << 32;  // of K, and of outputs
constexpr float kLargestCode = 127.0F;
constexpr size_t kAlignment = 64;

void require(bool holds, const UpdateSource& source, const char* problem) {
  if (holds) return;
  throw std::invalid_argument("the update of matrix " + std::to_string(source.matrix) + ": " +
                              problem);
}

constexpr uint32_t kInfinity = 0x7f800000U;

uint32_t magnitude_of(float value) { return bits_of(value) & 0x7fffffffU; }

// The bits of the largest magnitude, which grow with it.
uint32_t largest(const float* numbers, int64_t count) {
  uint32_t most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, magnitude_of(numbers[i]));
  return most;
}

bool all_finite(const float* numbers, int64_t count) { return largest(numbers, count) < kInfinity; }

float of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void check(const UpdateSource& s) {
  require(s.matrix >= 0 && s.matrix < kMostMatrices, s, "there is no such matrix");
  require(s.inputs > 0 && s.outputs > 0 && s.inputs < kMostSize && s.outputs < kMostSize, s,
          "its sizes are none");
  require(!s.gated || s.outputs % 2 == 0, s, "gates are half of its rows");
  require(s.format == UpdateFormat::kFloat32 || s.format == UpdateFormat::kInt8, s,
          "its format is unknown");
  int64_t end = 0;
  for (const UpdatePart& part : s.parts) {
    require(part.begin >= end && part.outputs > 0 && part.outputs <= s.outputs - part.begin, s,
            "its parts are not rows of it, one behind the other");
    require(part.rank > 0 && part.rank <= kMostRank, s, "its rank is not from 1 to 4096");
    require(all_finite(part.down, part.rank * s.inputs) &&
                all_finite(part.up, part.outputs * part.rank),
            s, "its numbers are not finite");
    end = part.begin + part.outputs;
  }
}

int64_t tiles_of(int64_t numbers) { return (numbers + kTile - 1) / kTile; }

// Where the parts of an update go, and how much memory that takes.
class Layout {
 public:
  explicit Layout(const UpdateSource& source) : source_(source) {
    half_ = source.gated ? source.outputs / 2 : source.outputs;
    const int64_t unit = source.gated ? kTile : kTile * kUnitTiles;
    view_.format = source.format;
    view_.inputs = source.inputs;
    view_.segment = tiles_of((source.inputs + kSegments - 1) / kSegments) * kTile;
    view_.output_tiles = (half_ + unit - 1) / unit * kUnitTiles;
    for (const UpdatePart& part : source.parts) {
      hidden_.push_back(view_.hidden_tiles);
      view_.hidden_tiles += tiles_of(part.rank);
    }
    require(view_.hidden_tiles <= UINT16_MAX, source, "its ranks are too large");
    for (int64_t tile = 0; tile < view_.output_tiles; ++tile) {
      begins_.push_back(static_cast<uint32_t>(pieces_.size()));
      add_pieces(tile);
    }
    begins_.push_back(static_cast<uint32_t>(pieces_.size()));
  }

  size_t bytes() const {
    return rounded(down_bytes()) + rounded(up_bytes()) + rounded(scale_bytes()) +
           rounded(begins_.size() * sizeof(uint32_t)) +
           rounded(pieces_.size() * sizeof(UpdatePiece));
  }

  // Fills memory of zeros; what is behind it.
  uint8_t* pack(uint8_t* memory, UpdateView* out) {
    uint8_t* const down = take(&memory, down_bytes());
    uint8_t* const up = take(&memory, up_bytes());
    auto* const scales = reinterpret_cast<float*>(take(&memory, scale_bytes()));
    view_.pieces_begin = copied(&memory, begins_);
    view_.pieces = copied(&memory, pieces_);
    view_.down = down;
    view_.up = up;
    view_.scales = int8() ? scales : nullptr;
    if (int8()) {
      find_scales(scales);
      pack_down(reinterpret_cast<int8_t*>(down));
      pack_up(reinterpret_cast<int8_t*>(up));
    } else {
      pack_down(reinterpret_cast<float*>(down));
      pack_up(reinterpret_cast<float*>(up));
    }
    *out = view_;
    return memory;
  }

 private:
  bool int8() const { return source_.format == UpdateFormat::kInt8; }
  size_t number() const { return int8() ? sizeof(int8_t) : sizeof(float); }
  size_t down_bytes() const {
    return static_cast<size_t>(view_.hidden() * view_.padded()) * number();
  }
  size_t up_bytes() const { return size_t{rows_} * kTile * number(); }
  size_t scale_bytes() const {
    return int8() ? static_cast<size_t>(view_.hidden()) * sizeof(float) : 0;
  }

  static size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

  static uint8_t* take(uint8_t** memory, size_t bytes) {
    uint8_t* const begin = *memory;
    *memory += rounded(bytes);
    return begin;
  }

  template <class T>
  static const T* copied(uint8_t** memory, const std::vector<T>& from) {
    auto* const to = reinterpret_cast<T*>(take(memory, from.size() * sizeof(T)));
    if (!from.empty()) std::memcpy(to, from.data(), from.size() * sizeof(T));
    return to;
  }

  // The row of the matrix that stands in a lane of a tile, -1 for none.
  int64_t row_of(int64_t tile, int64_t lane) const {
    if (!source_.gated) {
      const int64_t row = tile * kTile + lane;
      return row < half_ ? row : -1;
    }
    const int64_t column = tile / kUnitTiles * kTile + lane;
    return column < half_ ? tile % kUnitTiles * half_ + column : -1;
  }

  void add_pieces(int64_t tile) {
    for (size_t p = 0; p < source_.parts.size(); ++p) {
      const UpdatePart& part = source_.parts[p];
      bool touched = false;
      for (int64_t lane = 0; lane < kTile; ++lane) {
        const int64_t row = row_of(tile, lane);
        touched |= row >= part.begin && row < part.begin + part.outputs;
      }
      if (!touched) continue;
      pieces_.push_back(
          {rows_, static_cast<uint16_t>(hidden_[p]), static_cast<uint16_t>(part.rank)});
      owners_.push_back(p);
      require(part.rank <= int64_t{UINT32_MAX} - rows_, source_, "it is too large");
      rows_ += static_cast<uint32_t>(part.rank);
    }
  }

  // A number of down or up, as it is stored.
  static void store(float value, float, float* to) { *to = value; }
  // The sum has ones at its end, so it is rounded, and they are its lowest bits.
  static void store(float value, float inverse, int8_t* to) {
    *to = static_cast<int8_t>(bits_of(value * inverse + 0x1.8p23F));
  }

  static float inverse_of(float most) { return most > 0.0F ? kLargestCode / most : 0.0F; }

  // What codes are made with, and what turns sums of them into numbers.
  void find_scales(float* scales) {
    std::vector<uint32_t> columns;  // the largest of each of up's
    for (size_t p = 0; p < source_.parts.size(); ++p) {
      const UpdatePart& part = source_.parts[p];
      columns.assign(static_cast<size_t>(part.rank), 0);
      for (int64_t n = 0; n < part.outputs; ++n) {
        const float* const row = part.up + n * part.rank;
        for (int64_t r = 0; r < part.rank; ++r) {
          uint32_t& most = columns[static_cast<size_t>(r)];
          most = std::max(most, magnitude_of(row[r]));
        }
      }
      for (int64_t r = 0; r < part.rank; ++r) {
        const float down = of_bits(largest(part.down + r * source_.inputs, source_.inputs));
        const float up = of_bits(columns[static_cast<size_t>(r)]);
        const float scale = (down / kLargestCode) * (up / kLargestCode);
        require(std::isfinite(scale) && std::isfinite(inverse_of(down)) &&
                    std::isfinite(inverse_of(up)),
                source_, "its numbers are too large or too small");
        scales[hidden_[p] * kTile + r] = scale;
        inverse_down_.push_back(inverse_of(down));
        inverse_up_.push_back(inverse_of(up));
      }
    }
  }

  template <class T>
  void pack_down(T* to) const {
    size_t rank = 0;  // among those of all parts
    for (size_t p = 0; p < source_.parts.size(); ++p) {
      const UpdatePart& part = source_.parts[p];
      for (int64_t r = 0; r < part.rank; ++r, ++rank) {
        const float inverse = int8() ? inverse_down_[rank] : 1.0F;
        const float* const row = part.down + r * source_.inputs;
        const int64_t tile = hidden_[p] + r / kTile;
        T* const lane = to + tile * view_.padded() * kTile + r % kTile;
        for (int64_t s = 0; s < kSegments; ++s) {
          const int64_t begin = s * view_.segment;
          const int64_t count = std::min(view_.segment, source_.inputs - begin);
          T* const segment = lane + s * kTile;
          for (int64_t k = 0; k < count; ++k) {
            store(row[begin + k], inverse, segment + k * kSegments * kTile);
          }
        }
      }
    }
  }

  template <class T>
  void pack_up(T* to) const {
    std::vector<size_t> ranks = {0};  // in front of each part
    for (const UpdatePart& part : source_.parts) {
      ranks.push_back(ranks.back() + static_cast<size_t>(part.rank));
    }
    const std::vector<float> ones(static_cast<size_t>(int8() ? 0 : ranks.back()), 1.0F);
    const float* const inverses = int8() ? inverse_up_.data() : ones.data();
    for (int64_t tile = 0; tile < view_.output_tiles; ++tile) {
      for (uint32_t i = begins_[static_cast<size_t>(tile)];
           i < begins_[static_cast<size_t>(tile) + 1]; ++i) {
        const size_t p = owners_[i];
        const UpdatePart& part = source_.parts[p];
        for (int64_t lane = 0; lane < kTile; ++lane) {
          const int64_t row = row_of(tile, lane) - part.begin;
          if (row < 0 || row >= part.outputs) continue;
          T* const column = to + int64_t{pieces_[i].row} * kTile + lane;
          for (int64_t r = 0; r < part.rank; ++r) {
            store(part.up[row * part.rank + r], inverses[ranks[p] + static_cast<size_t>(r)],
                  column + r * kTile);
          }
        }
      }
    }
  }

  const UpdateSource& source_;
  UpdateView view_ = {};
  int64_t half_;                 // outputs of gates, or of all
  uint32_t rows_ = 0;            // of up
  std::vector<int64_t> hidden_;  // the first tile of hidden numbers of each part
  std::vector<uint32_t> begins_;
  std::vector<UpdatePiece> pieces_;
  std::vector<size_t> owners_;  // the part of each piece
  std::vector<float> inverse_down_, inverse_up_;
};

}  // namespace

Adapter::Adapter(const std::vector<UpdateSource>& sources) {
  std::vector<Layout> layouts;
  size_t bytes = 0;
  for (const UpdateSource& source : sources) {
    check(source);
    layouts.emplace_back(source);
    bytes += layouts.back().bytes();
    const auto matrix = static_cast<size_t>(source.matrix);
    if (matrix >= places_.size()) places_.resize(matrix + 1, -1);
    require(places_[matrix] < 0, source, "it comes twice");
    places_[matrix] = static_cast<int64_t>(layouts.size()) - 1;
  }
  if (bytes == 0) return;
  memory_ = ArenaBytes::alone(bytes);
  uint8_t* next = memory_.data();
  views_.resize(layouts.size());
  for (size_t i = 0; i < layouts.size(); ++i) next = layouts[i].pack(next, &views_[i]);
}

const UpdateView* Adapter::find(int64_t matrix) const {
  if (matrix < 0 || matrix >= static_cast<int64_t>(places_.size())) return nullptr;
  const int64_t place = places_[static_cast<size_t>(matrix)];
  return place < 0 ? nullptr : &views_[static_cast<size_t>(place)];
}

}  // namespace nanoaccel
