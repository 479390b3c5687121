// The updates of the rows of a call, and their hidden numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "linear/linear.h"
#include "low_rank/kernels.h"
#include "low_rank/table.h"
#include "parallel/pool.h"

namespace nanoaccel {

class RowUpdates {
 public:
  // Finds the updates of a linear of K inputs and some units.
  //
  // Throws std::invalid_argument where a slot is free, or its adapter is of another graph.
  RowUpdates(const LinearCall& call, int64_t inputs, int64_t units);

  // Computes the hidden numbers of all rows; what the linear adds for each row, nullptr for
  // nothing. It is good until the calling thread finds others.
  const RowUpdate* prepare(Pool& pool, int64_t parts);

 private:
  struct Scratch;
  struct Item;

  void group();
  void reserve();
  static void prepare_part(void* memory, size_t index);
  static void reduce_part(void* memory, size_t index);

  const LinearCall& call_;
  int64_t inputs_;
  int64_t parts_ = 1;
  std::shared_ptr<const AdapterSlots> slots_;
  Scratch* scratch_ = nullptr;  // of the calling thread; nullptr where no row has an update
};

}  // namespace nanoaccel
