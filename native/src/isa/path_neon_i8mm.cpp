#include "attention/attention_kernels.h"
#include "convolution/convolution_kernels.h"
#include "experts/expert_kernels.h"
#include "isa/path.h"
#include "isa/vector_neon.h"
#include "linear/float/float_kernels.h"
#include "linear/linear_kernels.h"
#include "linear_attention/linear_attention_kernels.h"
#include "low_rank/reduce.h"
#include "sampling/sampling_kernels.h"

namespace nanoaccel {

const Path kNeonI8mmPath = {"neon_i8mm",
                            linear_kernels<NeonI8mm>(),
                            float_kernels<NeonI8mm>(),
                            attention_kernels<NeonI8mm>(),
                            expert_kernels<NeonI8mm>(),
                            convolution_kernels<NeonI8mm>(),
                            linear_attention_kernels<NeonI8mm>(),
                            low_rank_kernels<NeonI8mm>(),
                            sampling_kernels<NeonI8mm>()};

}  // namespace nanoaccel
