#include "sampling/candidates.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace nanoaccel {
namespace {

// A rank is read from its highest bits on, some at a time: what candidates that share them measure
// together tells among which ones the last that is kept is. So none is sorted.
constexpr int kBits = 11;
constexpr int kShifts[] = {21, 10, 0};  // the last step has one bit less that is new

constexpr uint32_t kParts = 1U << kBits;

// What candidates measure, by a part of the rank, of those whose known bits are these.
template <class Measure>
std::array<double, kParts> measure_parts(const std::vector<Candidate>& some, int shift,
                                         uint32_t known_of, uint32_t known, Measure measure) {
  std::array<double, kParts> measured{};
  for (const Candidate& one : some) {
    if ((one.rank & known_of) == known) {
      measured[(one.rank >> shift) & (kParts - 1)] += measure(one);
    }
  }
  return measured;
}

template <class Measure>
void keep_highest(std::vector<Candidate>& some, double wanted, Measure measure) {
  double above = 0;       // what the candidates of higher ranks measure
  uint32_t known = 0;     // the bits of the last one's rank that are known
  uint32_t known_of = 0;  // where they are
  for (const int shift : kShifts) {
    const auto measured = measure_parts(some, shift, known_of, known, measure);
    double before = 0;  // what is above the lowest part that has any
    double reached = above;
    uint32_t lowest = 0;
    for (uint32_t part = kParts; part-- > 0 && reached < wanted;) {
      if (measured[part] == 0) continue;
      lowest = part;
      before = reached;
      reached += measured[part];
    }
    if (reached < wanted && known_of == 0) return;  // later on, only a sum was rounded differently
    above = before;
    known |= lowest << shift;
    known_of |= (kParts - 1) << shift;
  }
  const auto goes = [&](const Candidate& one) {
    if (one.rank != known) return one.rank < known;
    const bool kept = above < wanted;
    above += measure(one);
    return !kept;
  };
  some.erase(std::remove_if(some.begin(), some.end(), goes), some.end());
}

}  // namespace

uint32_t rank_of(float logit) {
  uint32_t bits;
  std::memcpy(&bits, &logit, sizeof bits);
  if (logit == 0) bits = 0;  // below zero or not, it is the same number
  constexpr uint32_t kSign = 1U << 31U;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

void keep_top(std::vector<Candidate>& some, int64_t k) {
  keep_highest(some, static_cast<double>(k), [](const Candidate&) { return 1.0; });
}

void keep_nucleus(std::vector<Candidate>& some, double mass) {
  keep_highest(some, mass, [](const Candidate& one) { return static_cast<double>(one.weight); });
}

}  // namespace nanoaccel
