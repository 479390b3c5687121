// The kernels of the float linear for one kind of vector.
#pragma once

#include "linear/float/multiply.h"

namespace nanoaccel {
namespace {

template <class V>
constexpr FloatKernels float_kernels() {
  return {V::kRows, prepare_rows<V>, multiply_floats<V>};
}

}  // namespace
}  // namespace nanoaccel
