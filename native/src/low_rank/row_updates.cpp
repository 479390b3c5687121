#include "low_rank/row_updates.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "linear/division.h"

namespace nanoaccel {
namespace {

constexpr int64_t kRowsOfItem = 64;
constexpr int64_t kSerialNumbers = 32768;   // fewer are copied faster than threads are woken
constexpr int64_t kSerialProducts = 65536;  // and so many are made faster

template <class T>
T* grown(std::vector<T>* memory, int64_t size) {
  if (memory->size() < static_cast<size_t>(size)) memory->resize(static_cast<size_t>(size));
  return memory->data();
}

}  // namespace

// A tile of the hidden numbers of rows that share an update.
struct RowUpdates::Item {
  const UpdateView* update;
  int64_t tile;
  Range rows;  // in their order
};

// It grows, and never shrinks.
struct RowUpdates::Scratch {
  std::vector<RowUpdate> updates;  // of each row
  std::vector<int64_t> order;      // rows with an update, those of one update together
  std::vector<Item> items;
  std::vector<float> x;       // padded rows, in their order
  std::vector<float> hidden;  // likewise
  std::vector<const float*> x_of;
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
  reserve();
}

// Puts rows of one update together, and cuts what they need into items.
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
      for (int64_t tile = 0; tile < update->hidden_tiles; ++tile) {
        s.items.push_back({update, tile, {row, std::min(row + kRowsOfItem, last)}});
      }
    }
    s.products += (last - first) * update->hidden() * update->padded();
    begin = static_cast<size_t>(last);
  }
}

void RowUpdates::reserve() {
  Scratch& s = *scratch_;
  const auto rows = static_cast<int64_t>(s.order.size());
  int64_t hidden = 0;
  int64_t padded = 0;
  for (const Item& item : s.items) {
    hidden = std::max(hidden, item.update->hidden());
    padded = std::max(padded, item.update->padded());
  }
  const float** const x_of = grown(&s.x_of, rows);
  float** const hidden_of = grown(&s.hidden_of, rows);
  float* const x = grown(&s.x, rows * padded);
  float* const numbers = grown(&s.hidden, rows * hidden);
  for (int64_t i = 0; i < rows; ++i) {
    x_of[i] = x + i * padded;
    hidden_of[i] = numbers + i * hidden;
    s.updates[static_cast<size_t>(s.order[static_cast<size_t>(i)])].hidden = hidden_of[i];
  }
}

const RowUpdate* RowUpdates::prepare(Pool& pool, int64_t parts) {
  if (scratch_ == nullptr) return nullptr;
  const auto rows = static_cast<int64_t>(scratch_->order.size());
  parts_ = rows * inputs_ > kSerialNumbers ? std::min(parts, rows) : 1;
  if (parts_ > 1) {
    pool.run(prepare_part, static_cast<size_t>(parts_), this);
  } else {
    prepare_part(this, 0);
  }
  const auto items = static_cast<int64_t>(scratch_->items.size());
  parts_ = scratch_->products > kSerialProducts ? std::min(parts, items) : 1;
  if (parts_ > 1) {
    pool.run(reduce_part, static_cast<size_t>(parts_), this);
  } else {
    reduce_part(this, 0);
  }
  return scratch_->updates.data();
}

void RowUpdates::prepare_part(void* memory, size_t index) {
  const RowUpdates& own = *static_cast<RowUpdates*>(memory);
  const Scratch& s = *own.scratch_;
  const int64_t padded = s.items.front().update->padded();  // of all, which read one input
  const Range rows =
      part_of(static_cast<int64_t>(s.order.size()), static_cast<int64_t>(index), own.parts_);
  for (int64_t i = rows.begin; i < rows.end; ++i) {
    const auto place = static_cast<size_t>(i);
    own.call_.adapters.kernels->prepare(own.call_.norm, own.call_.x + s.order[place] * own.inputs_,
                                        own.inputs_, padded, const_cast<float*>(s.x_of[place]));
  }
}

void RowUpdates::reduce_part(void* memory, size_t index) {
  const RowUpdates& own = *static_cast<RowUpdates*>(memory);
  const Scratch& s = *own.scratch_;
  const Range items =
      part_of(static_cast<int64_t>(s.items.size()), static_cast<int64_t>(index), own.parts_);
  for (int64_t i = items.begin; i < items.end; ++i) {
    const Item& item = s.items[static_cast<size_t>(i)];
    own.call_.adapters.kernels->reduce(*item.update, item.tile, s.x_of.data() + item.rows.begin,
                                       s.hidden_of.data() + item.rows.begin,
                                       item.rows.end - item.rows.begin);
  }
}

}  // namespace nanoaccel
