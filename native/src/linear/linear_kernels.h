// The kernels of the quantized linear for one kind of vector.
#pragma once

#include "linear/multiply.h"
#include "linear/quantize.h"

namespace nanoaccel {
namespace {

template <class V>
constexpr LinearKernels linear_kernels() {
  return {V::kRows, quantize<V>, multiply<V>};
}

}  // namespace
}  // namespace nanoaccel
