#include "low_rank/table.h"

#include <stdexcept>
#include <string>
#include <unordered_map>

namespace nanoaccel {
namespace {

constexpr int64_t kMostSlots = 1 << 20;

struct Tables {
  std::mutex mutex;
  std::unordered_map<int64_t, std::shared_ptr<AdapterTable>> by_number;
  int64_t next = 1;
};

Tables& tables() {
  static Tables* const all = new Tables;  // outlives the sessions that close at exit
  return *all;
}

}  // namespace

void AdapterTable::load(int64_t slot, std::shared_ptr<const Adapter> adapter) {
  put(slot, std::move(adapter), false);
}

void AdapterTable::unload(int64_t slot) { put(slot, nullptr, true); }

// Puts something else into a slot that is taken, or free.
void AdapterTable::put(int64_t slot, std::shared_ptr<const Adapter> adapter, bool taken) {
  if (slot < 0 || slot >= kMostSlots) throw std::invalid_argument("an adapter's slot is none");
  std::shared_ptr<const AdapterSlots> before;  // it goes behind the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  auto changed = std::make_shared<AdapterSlots>(*slots_);
  const auto index = static_cast<size_t>(slot);
  if (index >= changed->size()) changed->resize(index + 1);
  if (((*changed)[index] != nullptr) != taken) {
    throw std::invalid_argument("slot " + std::to_string(slot) +
                                (taken ? " has no adapter" : " has an adapter already"));
  }
  (*changed)[index] = std::move(adapter);
  before = std::move(slots_);
  slots_ = std::move(changed);
}

std::shared_ptr<const AdapterSlots> AdapterTable::slots() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return slots_;
}

int64_t AdapterTable::create() {
  const std::lock_guard<std::mutex> lock(tables().mutex);
  tables().by_number.emplace(tables().next, std::make_shared<AdapterTable>());
  return tables().next++;
}

std::shared_ptr<AdapterTable> AdapterTable::find(int64_t number) {
  const std::lock_guard<std::mutex> lock(tables().mutex);
  const auto found = tables().by_number.find(number);
  return found == tables().by_number.end() ? nullptr : found->second;
}

void AdapterTable::forget(int64_t number) {
  std::shared_ptr<AdapterTable> last;  // it goes behind the lock
  const std::lock_guard<std::mutex> lock(tables().mutex);
  const auto found = tables().by_number.find(number);
  if (found == tables().by_number.end()) return;
  last = std::move(found->second);
  tables().by_number.erase(found);
}

}  // namespace nanoaccel
