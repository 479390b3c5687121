// Sampling, for Python. Plain C types only. May be called on any thread.
#pragma once

#include <cstdint>

#include "export.h"

extern "C" {

// The token of f32 [width] logits that ``uniform`` in [0, 1) selects, of those that top_k (0: all),
// top_p (1: all) and min_p (0: all) keep. ``likeliest`` is the index of the largest number, or of
// the first that is none; -1 searches it. -1 where that is not finite.
NANOACCEL_EXPORT int64_t nanoaccel_draw(const float* logits, int64_t width, int64_t likeliest,
                                        double scale, int64_t top_k, double top_p, double min_p,
                                        double uniform);
}
