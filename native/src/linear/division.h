// How the work of a product is divided: into pieces of its rows, and between threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "linear/kernels.h"
#include "linear/linear.h"

namespace nanoaccel {

inline Range part_of(int64_t size, int64_t index, int64_t parts) {
  return {size * index / parts, size * (index + 1) / parts};
}

// Parts of some rows, in whole blocks, times parts of the units.
struct Division {
  int64_t rows;
  int64_t block;  // rows that are multiplied together
  int64_t units;
  int64_t row_parts = 1;
  int64_t unit_parts = 1;

  void into_rows(int64_t parts) { row_parts = std::min(parts, rows); }

  // Units first; rows too where these do not suffice, ``least`` of them to a part.
  void into_units(int64_t parts, int64_t least) {
    unit_parts = std::min(parts, units);
    const int64_t wanted = (parts + unit_parts - 1) / unit_parts;
    row_parts = std::max<int64_t>(1, std::min(wanted, rows / least));
  }

  size_t parts() const { return static_cast<size_t>(row_parts * unit_parts); }

  Range rows_of(size_t part) const {
    const int64_t index = static_cast<int64_t>(part) % row_parts;
    const Range blocks = part_of((rows + block - 1) / block, index, row_parts);
    return {blocks.begin * block, std::min(blocks.end * block, rows)};
  }
  Range units_of(size_t part) const {
    return part_of(units, static_cast<int64_t>(part) / row_parts, unit_parts);
  }
};

// Calls ``run`` for so many rows at a time, which bounds the memory that it needs.
template <class Weights, class Run>
void in_pieces(const LinearCall& call, const Weights& weights, int64_t most, Run run) {
  for (int64_t begin = 0; begin < call.rows; begin += most) {
    LinearCall some = call;
    some.rows = std::min(most, call.rows - begin);
    some.x += begin * weights.view().inputs;
    some.y += begin * weights.outputs();
    if (some.residual != nullptr) some.residual += begin * weights.outputs();
    some.adapters.first += begin;
    run(some);
  }
}

// Where the results of a call go.
template <class Weights>
OutputView output_of(const LinearCall& call, const Weights& weights) {
  return {call.y,          weights.outputs(), weights.bias(), call.residual,
          call.activation, weights.gated(),   nullptr};
}

}  // namespace nanoaccel
