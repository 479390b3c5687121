#include "attention/attention_kernels.h"
#include "convolution/convolution_kernels.h"
#include "experts/expert_kernels.h"
#include "isa/path.h"
#include "isa/vector_256.h"
#include "linear/float/float_kernels.h"
#include "linear/linear_kernels.h"
#include "linear_attention/linear_attention_kernels.h"
#include "low_rank/reduce.h"
#include "sampling/sampling_kernels.h"

namespace nanoaccel {

const Path kAvx2Path = {"avx2",
                        linear_kernels<Avx2>(),
                        float_kernels<Avx2>(),
                        attention_kernels<Avx2>(),
                        expert_kernels<Avx2>(),
                        convolution_kernels<Avx2>(),
                        linear_attention_kernels<Avx2>(),
                        low_rank_kernels<Avx2>(),
                        sampling_kernels<Avx2>()};

}  // namespace nanoaccel
