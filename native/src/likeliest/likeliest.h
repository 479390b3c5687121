// The likeliest token of each row of logits, found by the threads that have just written them: for
// another one they would come from a core's cache to the next, number by number.
#pragma once

#include <cstdint>

#include "parallel/pool.h"

namespace nanoaccel {

// For each row of [rows][width] the index of its largest number, of equal ones the first. A row
// that holds no numbers (NaN) gives the index of the first of these.
void find_likeliest(const float* logits, int64_t rows, int64_t width, Pool& pool, int64_t parts,
                    int64_t* found);

}  // namespace nanoaccel
