// The rows of a pass by the experts that they go to.
//
// A slot is a row for one of its experts. Slots stand expert by expert, and within one in the
// order of their rows, so that each expert has one block of activations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "linear/kernels.h"

namespace nanoaccel {

class Slots {
 public:
  // Sorts again: ``chosen`` [row][top_k].
  void sort(const int32_t* chosen, int64_t rows, int64_t top_k, int64_t experts);

  Range of(int64_t expert) const {
    return {begins_[static_cast<size_t>(expert)], begins_[static_cast<size_t>(expert) + 1]};
  }
  int64_t size() const { return static_cast<int64_t>(rows_.size()); }
  int64_t row(int64_t slot) const { return rows_[static_cast<size_t>(slot)]; }
  int64_t expert(int64_t slot) const { return experts_[static_cast<size_t>(slot)]; }
  // Slots of a row, in the order in which it chose.
  const int64_t* places(int64_t row) const { return places_.data() + row * top_k_; }
  // Experts that some row goes to.
  const std::vector<int64_t>& used() const { return used_; }

 private:
  int64_t top_k_ = 0;
  std::vector<int64_t> begins_;   // [expert + 1]
  std::vector<int64_t> rows_;     // [slot]
  std::vector<int64_t> experts_;  // [slot]
  std::vector<int64_t> places_;   // [row][top_k]
  std::vector<int64_t> used_;
};

// Units of the linears of all used experts, cut into parts that take about as long.
class UnitParts {
 public:
  struct Piece {
    int64_t expert;
    Range units;
  };

  // ``units`` of each expert; ``block`` rows are multiplied together.
  UnitParts(const Slots& slots, int64_t units, int64_t block, int64_t parts);

  int64_t count() const { return parts_; }

  // Calls ``run`` with each piece of a part.
  template <class Run>
  void each(int64_t part, Run run) const {
    const int64_t begin = total_ * part / parts_;
    const int64_t end = total_ * (part + 1) / parts_;
    int64_t first = 0;  // of the work, where an expert begins
    for (const int64_t expert : slots_.used()) {
      const int64_t weight = weight_of(expert);
      // A unit belongs to the part in which its work begins.
      const Range units = {within((begin - first + weight - 1) / weight),
                           within((end - first + weight - 1) / weight)};
      if (units.begin < units.end) run(Piece{expert, units});
      first += weight * units_;
    }
  }

 private:
  int64_t within(int64_t unit) const { return unit < 0 ? 0 : (unit < units_ ? unit : units_); }
  int64_t weight_of(int64_t expert) const;

  const Slots& slots_;
  int64_t units_;
  int64_t block_;
  int64_t parts_;
  int64_t total_ = 0;
};

}  // namespace nanoaccel
