// What linears do over some rows: prepare them, and hidden numbers of updates beside that; then
// multiply rows with units.
#pragma once

#include "linear/division.h"
#include "low_rank/row_updates.h"
#include "parallel/serial_pool.h"

namespace nanoaccel {

template <class Work>
void prepare_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const size_t parts = work.division.parts();
  if (index >= parts) return work.updates.make(index - parts);
  work.prepare(work.division.rows_of(index));
}

template <class Work>
void multiply_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  work.multiply(work.division.rows_of(index), work.division.units_of(index));
}

// ``many`` is whether the rows take longer to prepare than threads to wake; ``least``, with how
// many rows a product is divided by rows too.
template <class Work>
void run_phases(Work* work, Pool& pool, int64_t parts, bool many, int64_t least) {
  if (many) work->division.into_rows(parts);
  SerialPool alone;
  Pool& chosen = many || work->updates.many() ? pool : alone;
  chosen.run(prepare_part<Work>, work->division.parts() + work->updates.items(), work);
  work->output.updates = work->updates.rows();
  work->division.into_units(parts, least);
  pool.run(multiply_part<Work>, work->division.parts(), work);
}

}  // namespace nanoaccel
