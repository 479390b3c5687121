// The updates of the rows of a call, and their hidden numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "linear/linear.h"
#include "low_rank/kernels.h"
#include "low_rank/table.h"

namespace nanoaccel {

class RowUpdates {
 public:
  // Finds the updates of a linear of K inputs and some units.
  //
  // Throws std::invalid_argument where a slot is free, or its adapter is of another graph.
  RowUpdates(const LinearCall& call, int64_t inputs, int64_t units);

  // The parts that making hidden numbers is cut into, for any threads; 0 where no row has an
  // update.
  size_t items() const;
  void make(size_t item) const;
  // Whether that takes longer than to wake threads.
  bool many() const;

  // What the linear adds for each row, nullptr for nothing. It is good once all items are made,
  // until the calling thread finds others.
  const RowUpdate* rows() const;

 private:
  struct Scratch;
  struct Item;

  void group();
  void divide();
  void reserve();

  const LinearCall& call_;
  int64_t inputs_;
  std::shared_ptr<const AdapterSlots> slots_;
  Scratch* scratch_ = nullptr;  // of the calling thread; nullptr where no row has an update
};

}  // namespace nanoaccel
