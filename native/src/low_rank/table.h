// The adapters of a session, in slots.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "low_rank/adapter.h"

namespace nanoaccel {

using AdapterSlots = std::vector<std::shared_ptr<const Adapter>>;

// Loads and unloads while other threads compute with the adapters of other slots. What a thread
// computes with lives as long as it holds it.
class AdapterTable {
 public:
  // Throws std::invalid_argument where the slot is taken, or is none.
  void load(int64_t slot, std::shared_ptr<const Adapter> adapter);
  void unload(int64_t slot);

  // As they are now; nullptr in those that are free.
  std::shared_ptr<const AdapterSlots> slots() const;

  // A new table, which nodes of a graph know by its number.
  static int64_t create();
  // nullptr for a number of none.
  static std::shared_ptr<AdapterTable> find(int64_t number);
  // The table goes when no node has it any more.
  static void forget(int64_t number);

 private:
  void put(int64_t slot, std::shared_ptr<const Adapter> adapter, bool taken);

  mutable std::mutex mutex_;
  std::shared_ptr<const AdapterSlots> slots_ = std::make_shared<AdapterSlots>();
};

}  // namespace nanoaccel
