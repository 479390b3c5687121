#include "states/steps.h"

namespace nanoaccel {
namespace {

bool ascending(const int32_t* begins, int64_t count, int64_t end) {
  if (begins[0] != 0 || begins[count] != end) return false;
  for (int64_t i = 0; i < count; ++i) {
    if (begins[i + 1] < begins[i]) return false;
  }
  return true;
}

}  // namespace

std::string steps_problem(const StateSteps& steps, const StateSizes& sizes, int64_t numbers) {
  if (numbers > sizes.numbers) return "the table's states are too small";
  if (!ascending(steps.begins, steps.sequences, sizes.tokens)) {
    return "seq_begins do not ascend to T";
  }
  if (!ascending(steps.slot_begins, steps.sequences, sizes.slots)) {
    return "state_begins do not ascend to the number of slots";
  }
  for (int64_t s = 0; s < steps.sequences; ++s) {
    const int64_t interval = steps.intervals[s];
    if (interval < 1 || steps.offsets[s] < 0 || steps.offsets[s] >= interval) {
      return "an interval or an offset of states is out of range";
    }
    const int64_t tokens = tokens_of(steps, s);
    const int64_t written = tokens > 0 ? (steps.offsets[s] + tokens + interval - 1) / interval : 0;
    if (int64_t{steps.slot_begins[s + 1]} - steps.slot_begins[s] != 1 + written) {
      return "a sequence has other slots than it reads and writes";
    }
    for (int64_t i = steps.slot_begins[s]; i < steps.slot_begins[s + 1]; ++i) {
      const bool reads = i == steps.slot_begins[s];
      if (steps.slots[i] < (reads ? 0 : 1) || steps.slots[i] >= sizes.rows) {
        return "a slot is beyond the table of states";
      }
    }
  }
  return "";
}

}  // namespace nanoaccel
