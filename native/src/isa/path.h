// A path: every operator compiled for one instruction set.
#pragma once

#include <vector>

#include "attention/kernels.h"
#include "convolution/kernels.h"
#include "experts/kernels.h"
#include "linear/float/kernels.h"
#include "linear/kernels.h"
#include "linear_attention/kernels.h"
#include "low_rank/kernels.h"
#include "sampling/kernels.h"

namespace nanoaccel {

struct Path {
  const char* name;
  LinearKernels linear;
  FloatKernels float_linear;
  AttentionKernels attention;
  ExpertKernels experts;
  ConvolutionKernels convolution;
  LinearAttentionKernels linear_attention;
  LowRankKernels low_rank;
  SamplingKernels sampling;
};

// Each is defined in a translation unit of its own, compiled for its instructions; those of another
// architecture are not compiled. Nothing of such a unit may be called before its path was chosen.
extern const Path kScalarPath;
extern const Path kAvx2Path;
extern const Path kAvxVnniPath;
extern const Path kAvx512VnniPath;
extern const Path kNeonDotprodPath;
extern const Path kNeonI8mmPath;

// Paths that this CPU can run, the fastest first; the scalar reference is always the last.
const std::vector<const Path*>& runnable_paths();

// A runnable path by its name; nullptr when there is none.
const Path* find_path(const char* name);

// The path that NANOACCEL_ISA names, else the fastest one; nullptr when it names none that runs.
const Path* chosen_path();

}  // namespace nanoaccel
