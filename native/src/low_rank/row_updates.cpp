#include "low_rank/row_updates.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace nanoaccel {
namespace {

constexpr int64_t kRowsOfItem = 16;
constexpr size_t kFewItems = 4;             // that leave threads idle
constexpr int64_t kSerialProducts = 65536;  // fewer are made faster than threads are woken
constexpr int64_t kAheadBytes = 2048;       // that are asked for while rows are prepared

// Asks for what a tile of hidden numbers is made with.
void prefetch_down(const UpdateView& update, int64_t tile, int64_t bytes) {
  const auto size =
      static_cast<int64_t>(update.format == UpdateFormat::kInt8 ? sizeof(int8_t) : sizeof(float));
  const auto* const down = static_cast<const char*>(update.down);
  const int64_t all = update.padded() * kTile * size;
  for (int64_t at = 0; at < std::min(bytes, all); at += kTileBytes) {
    __builtin_prefetch(down + tile * all + at);
  }
}

template <class T>
T* grown(std::vector<T>* memory, int64_t size) {
  if (memory->size() < static_cast<size_t>(size)) memory->resize(static_cast<size_t>(size));
  return memory->data();
}

}  // namespace

// Tiles of the hidden numbers of rows that share an update.
struct RowUpdates::Item {
  const UpdateView* update;
  Range tiles;
  Range rows;  // in their order
};

// It grows, and never shrinks.
struct RowUpdates::Scratch {
  std::vector<RowUpdate> updates;  // of each row
  std::vector<int64_t> order;      // rows with an update, those of one update together
  std::vector<Item> items;
  std::vector<float> hidden;  // of rows in their order
  std::vector<float*> hidden_of;
  int64_t products = 0;
};

RowUpdates::RowUpdates(const LinearCall& call, int64_t inputs, int64_t units)
    : call_(call), inputs_(inputs) {
  const AdapterRows& given = call.adapters;
  if (given.slots == nullptr) return;
  static thread_local Scratch scratch;
  slots_ = given.table->slots();
  RowUpdate* const updates = grown(&scratch.updates, call.rows);
  scratch.order.clear();
  for (int64_t m = 0; m < call.rows; ++m) {
    updates[m] = {nullptr, nullptr};
    const int32_t slot = given.slot(m);
    if (slot < 0) continue;
    const auto index = static_cast<size_t>(slot);
    if (index >= slots_->size() || (*slots_)[index] == nullptr) {
      throw std::invalid_argument("slot " + std::to_string(slot) + " has no adapter");
    }
    const UpdateView* const found = (*slots_)[index]->find(given.matrix);
    if (found == nullptr) continue;
    if (found->inputs != inputs || found->output_tiles != units * kUnitTiles) {
      throw std::invalid_argument("the adapter in slot " + std::to_string(slot) +
                                  " is of another graph");
    }
    if (found->hidden_tiles == 0) continue;
    updates[m].update = found;
    scratch.order.push_back(m);
  }
  if (scratch.order.empty()) return;
  scratch_ = &scratch;
  group();
  divide();
  reserve();
}

// Puts rows of one update together.
void RowUpdates::group() {
  Scratch& s = *scratch_;
  s.items.clear();
  s.products = 0;
  for (size_t begin = 0; begin < s.order.size();) {
    const UpdateView* const update = s.updates[static_cast<size_t>(s.order[begin])].update;
    const auto end = std::stable_partition(
        s.order.begin() + static_cast<std::ptrdiff_t>(begin), s.order.end(),
        [&](int64_t m) { return s.updates[static_cast<size_t>(m)].update == update; });
    const auto first = static_cast<int64_t>(begin);
    const auto last = static_cast<int64_t>(end - s.order.begin());
    for (int64_t row = first; row < last; row += kRowsOfItem) {
      s.items.push_back(
          {update, {0, update->hidden_tiles}, {row, std::min(row + kRowsOfItem, last)}});
    }
    s.products += (last - first) * update->hidden() * update->padded();
    begin = static_cast<size_t>(last);
  }
}

// Cuts items by their tiles where there are few: each then prepares its rows again.
void RowUpdates::divide() {
  Scratch& s = *scratch_;
  if (!many() || s.items.size() >= kFewItems) return;
  std::vector<Item> whole;
  whole.swap(s.items);
  for (const Item& item : whole) {
    for (int64_t tile = item.tiles.begin; tile < item.tiles.end; ++tile) {
      s.items.push_back({item.update, {tile, tile + 1}, item.rows});
    }
  }
}

void RowUpdates::reserve() {
  Scratch& s = *scratch_;
  const auto rows = static_cast<int64_t>(s.order.size());
  int64_t hidden = 0;
  for (const Item& item : s.items) hidden = std::max(hidden, item.update->hidden());
  float** const hidden_of = grown(&s.hidden_of, rows);
  float* const numbers = grown(&s.hidden, rows * hidden);
  for (int64_t i = 0; i < rows; ++i) {
    hidden_of[i] = numbers + i * hidden;
    s.updates[static_cast<size_t>(s.order[static_cast<size_t>(i)])].hidden = hidden_of[i];
  }
}

size_t RowUpdates::items() const { return scratch_ == nullptr ? 0 : scratch_->items.size(); }

bool RowUpdates::many() const {
  return scratch_ != nullptr && scratch_->products > kSerialProducts;
}

const RowUpdate* RowUpdates::rows() const {
  return scratch_ == nullptr ? nullptr : scratch_->updates.data();
}

void RowUpdates::make(size_t index) const {
  static thread_local std::vector<float> memory;  // it grows, and never shrinks
  const Scratch& s = *scratch_;
  const Item& item = s.items[index];
  const UpdateView& update = *item.update;
  const LowRankKernels& kernels = *call_.adapters.kernels;
  const int64_t padded = update.padded();
  const int64_t count = item.rows.end - item.rows.begin;
  prefetch_down(update, item.tiles.begin, kAheadBytes);
  float* const prepared = grown(&memory, count * padded);
  const float* x[kRowsOfItem];
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = s.order[static_cast<size_t>(item.rows.begin + i)];
    kernels.prepare(call_.norm, call_.x + row * inputs_, inputs_, padded, prepared + i * padded);
    x[i] = prepared + i * padded;
  }
  for (int64_t tile = item.tiles.begin; tile < item.tiles.end; ++tile) {
    kernels.reduce(update, tile, x, s.hidden_of.data() + item.rows.begin, count);
  }
}

}  // namespace nanoaccel
