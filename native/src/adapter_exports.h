// Adapters of sessions: tables that nodes of a graph know by number, and what is in them. Plain C
// types only. All may be called on any thread, and during a pass that does not use the slot.
#pragma once

#include <cstdint>

#include "export.h"

extern "C" {

// The update of a module, which is some rows of a matrix: down f32 [rank, K], up f32 [outputs,
// rank].
struct NanoaccelUpdatePart {
  int64_t begin, outputs, rank;
  const float* down;
  const float* up;
};

// The updates of one matrix of N rows: parts in the order of their rows.
struct NanoaccelUpdate {
  int64_t matrix;  // as the node's attribute numbers it
  int64_t inputs, outputs, gated;
  int64_t format;  // as low_rank/kernels.h numbers them
  const NanoaccelUpdatePart* parts;
  int64_t parts_size;
};

// The number of a new table.
NANOACCEL_EXPORT int64_t nanoaccel_adapters_create();
// Frees a table as soon as no session has it.
NANOACCEL_EXPORT void nanoaccel_adapters_free(int64_t table);

// Copies an adapter into a slot that is free. False, and why in ``problem``, when it cannot.
NANOACCEL_EXPORT int nanoaccel_adapters_load(int64_t table, int64_t slot,
                                             const NanoaccelUpdate* updates, int64_t count,
                                             char* problem, int64_t problem_size);
NANOACCEL_EXPORT int nanoaccel_adapters_unload(int64_t table, int64_t slot, char* problem,
                                               int64_t problem_size);
}
