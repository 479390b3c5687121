// An adapter: its updates of the matrices of a graph, packed for the kernels.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "low_rank/kernels.h"
#include "memory/arena.h"

namespace nanoaccel {

// The update of one module, which is some rows of a matrix.
struct UpdatePart {
  int64_t begin;  // its first row
  int64_t outputs;
  int64_t rank;
  const float* down;  // [rank][K]
  const float* up;    // [outputs][rank]
};

// The updates of one matrix. Of gates and what they multiply, the former are its first rows.
struct UpdateSource {
  int64_t matrix = 0;
  int64_t inputs = 0;  // K
  int64_t outputs = 0;
  bool gated = false;
  UpdateFormat format = UpdateFormat::kFloat32;
  std::vector<UpdatePart> parts;
};

class Adapter {
 public:
  // Throws std::invalid_argument where numbers do not fit each other or are not finite.
  explicit Adapter(const std::vector<UpdateSource>& sources);

  // The update of a matrix; nullptr where it has none.
  const UpdateView* find(int64_t matrix) const;

 private:
  std::vector<UpdateView> views_;
  std::vector<int64_t> places_;  // of matrices among the views; -1 is none
  ArenaBytes memory_;
};

}  // namespace nanoaccel
