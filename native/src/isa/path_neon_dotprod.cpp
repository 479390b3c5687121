#include "attention/attention_kernels.h"
#include "isa/path.h"
#include "isa/vector_neon.h"
#include "linear/linear_kernels.h"

namespace nanoaccel {

const Path kNeonDotprodPath = {"neon_dotprod", linear_kernels<NeonDotprod>(),
                               attention_kernels<NeonDotprod>()};

}  // namespace nanoaccel
