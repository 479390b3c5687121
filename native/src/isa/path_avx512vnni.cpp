#include "attention/attention_kernels.h"
#include "convolution/convolution_kernels.h"
#include "experts/expert_kernels.h"
#include "isa/path.h"
#include "isa/vector_512.h"
#include "linear/float/float_kernels.h"
#include "linear/linear_kernels.h"
#include "linear_attention/linear_attention_kernels.h"
#include "low_rank/reduce.h"
#include "sampling/sampling_kernels.h"

namespace nanoaccel {

const Path kAvx512VnniPath = {"avx512vnni",
                              linear_kernels<Avx512Vnni>(),
                              float_kernels<Avx512Vnni>(),
                              attention_kernels<Avx512Vnni>(),
                              expert_kernels<Avx512Vnni>(),
                              convolution_kernels<Avx512Vnni>(),
                              linear_attention_kernels<Avx512Vnni>(),
                              low_rank_kernels<Avx512Vnni>(),
                              sampling_kernels<Avx512Vnni>()};

}  // namespace nanoaccel
