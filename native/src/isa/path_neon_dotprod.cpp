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

const Path kNeonDotprodPath = {"neon_dotprod",
                               linear_kernels<NeonDotprod>(),
                               float_kernels<NeonDotprod>(),
                               attention_kernels<NeonDotprod>(),
                               expert_kernels<NeonDotprod>(),
                               convolution_kernels<NeonDotprod>(),
                               linear_attention_kernels<NeonDotprod>(),
                               low_rank_kernels<NeonDotprod>(),
                               sampling_kernels<NeonDotprod>()};

}  // namespace nanoaccel
