#include "attention/attention_kernels.h"
#include "convolution/convolution_kernels.h"
#include "experts/expert_kernels.h"
#include "isa/path.h"
#include "isa/vector_scalar.h"
#include "linear/float/float_kernels.h"
#include "linear/linear_kernels.h"
#include "linear_attention/linear_attention_kernels.h"
#include "low_rank/reduce.h"
#include "sampling/sampling_kernels.h"

namespace nanoaccel {

const Path kScalarPath = {"scalar",
                          linear_kernels<Scalar>(),
                          float_kernels<Scalar>(),
                          attention_kernels<Scalar>(),
                          expert_kernels<Scalar>(),
                          convolution_kernels<Scalar>(),
                          linear_attention_kernels<Scalar>(),
                          low_rank_kernels<Scalar>(),
                          sampling_kernels<Scalar>()};

}  // namespace nanoaccel
