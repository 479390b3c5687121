// The kernels of the quantized linear for one kind of vector.
#pragma once

#include "linear/multiply.h"
#include "linear/peak.h"
#include "linear/quantize.h"

namespace nanoaccel {
namespace {

template <class V>
constexpr LinearKernels linear_kernels() {
  return {V::kRows, quantize<V>, multiply<V>, multiply_peak<V>};
}

}  // namespace
}  // namespace nanoaccel
