#include "sampling/candidates.h"

#include <array>

namespace nanoaccel {
namespace {

// A rank is read from its highest bits on, some at a time: what candidates that share them measure
// together tells among which ones the last that is kept is. So none is sorted.
constexpr int kBits = 11;
constexpr int kShifts[] = {21, 10, 0};  // the last step has one bit less that is new

constexpr uint32_t kParts = 1U << kBits;

// Keeps what ``wanted`` is true of, in its order, without a branch that is hard to foretell.
template <class Wanted>
void keep(std::vector<Candidate>& some, Wanted wanted) {
  size_t count = 0;
  for (const Candidate one : some) {
    some[count] = one;
    count += wanted(one) ? 1 : 0;
  }
  some.resize(count);
}

// The part of a rank that the last one that is kept has; ``above`` grows by what is above it.
template <class Measure>
uint32_t find_part(const std::vector<Candidate>& some, int shift, double wanted, double* above,
                   Measure measure) {
  std::array<double, kParts> measured{};
  for (const Candidate& one : some) measured[(one.rank >> shift) & (kParts - 1)] += measure(one);
  double reached = *above;
  uint32_t lowest = 0;
  for (uint32_t part = kParts; part-- > 0 && reached < wanted;) {
    if (measured[part] == 0) continue;
    lowest = part;
    *above = reached;
    reached += measured[part];
  }
  return lowest;
}

template <class Measure>
void keep_highest(std::vector<Candidate>& some, double wanted, Measure measure) {
  thread_local std::vector<Candidate> left;  // those that share the bits that are known
  double above = 0;                          // what the candidates of higher ranks measure
  uint32_t last = 0;                         // the rank of the last one that is kept
  left = some;
  for (const int shift : kShifts) {
    const uint32_t part = find_part(left, shift, wanted, &above, measure);
    last |= part << shift;
    keep(left, [&](const Candidate& one) { return ((one.rank >> shift) & (kParts - 1)) == part; });
  }
  size_t ties = 0;  // of them the first that are needed
  for (; ties < left.size() && above < wanted; ++ties) above += measure(left[ties]);
  const int32_t last_id = ties > 0 ? left[ties - 1].id : -1;
  keep(some, [&](const Candidate& one) {
    return one.rank > last || (one.rank == last && one.id <= last_id);
  });
}

}  // namespace

void keep_top(std::vector<Candidate>& some, int64_t k) {
  keep_highest(some, static_cast<double>(k), [](const Candidate&) { return 1.0; });
}

void keep_nucleus(std::vector<Candidate>& some, double mass) {
  keep_highest(some, mass, [](const Candidate& one) { return static_cast<double>(one.weight); });
}

void keep_heavy(std::vector<Candidate>& some, double least) {
  keep(some, [&](const Candidate& one) { return static_cast<double>(one.weight) >= least; });
}

}  // namespace nanoaccel
