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

const Path kAvxVnniPath = {"avxvnni",
                           linear_kernels<AvxVnni>(),
                           float_kernels<AvxVnni>(),
                           attention_kernels<AvxVnni>(),
                           expert_kernels<AvxVnni>(),
                           convolution_kernels<AvxVnni>(),
                           linear_attention_kernels<AvxVnni>(),
                           low_rank_kernels<AvxVnni>(),
                           sampling_kernels<AvxVnni>()};

}  // namespace nanoaccel
