#include "experts/slots.h"

#include <algorithm>

namespace nanoaccel {

void Slots::sort(const int32_t* chosen, int64_t rows, int64_t top_k, int64_t experts) {
  const int64_t size = rows * top_k;
  top_k_ = top_k;
  rows_.resize(static_cast<size_t>(size));
  experts_.resize(static_cast<size_t>(size));
  places_.resize(static_cast<size_t>(size));
  begins_.assign(static_cast<size_t>(experts) + 1, 0);
  for (int64_t i = 0; i < size; ++i) ++begins_[static_cast<size_t>(chosen[i]) + 1];
  used_.clear();
  for (int64_t e = 0; e < experts; ++e) {
    const auto at = static_cast<size_t>(e);
    if (begins_[at + 1] > 0) used_.push_back(e);
    begins_[at + 1] += begins_[at];
  }
  std::vector<int64_t> next(begins_.begin(), begins_.end() - 1);
  for (int64_t i = 0; i < size; ++i) {
    const int64_t slot = next[static_cast<size_t>(chosen[i])]++;
    rows_[static_cast<size_t>(slot)] = i / top_k;
    experts_[static_cast<size_t>(slot)] = chosen[i];
    places_[static_cast<size_t>(i)] = slot;
  }
}

UnitParts::UnitParts(const Slots& slots, int64_t units, int64_t block, int64_t parts)
    : slots_(slots), units_(units), block_(block) {
  int64_t all = 0;
  for (const int64_t expert : slots.used()) {
    total_ += weight_of(expert) * units;
    all += units;
  }
  parts_ = std::min(parts, all);
}

// Reading the weights takes as long as multiplying a block of rows with them.
int64_t UnitParts::weight_of(int64_t expert) const {
  const Range range = slots_.of(expert);
  return 1 + (range.end - range.begin) / block_;
}

}  // namespace nanoaccel
