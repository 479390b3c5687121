// The kernels of a mixture of experts for one kind of vector.
#pragma once

#include "experts/choose.h"
#include "experts/gate.h"

namespace nanoaccel {
namespace {

template <class V>
constexpr ExpertKernels expert_kernels() {
  return {choose<V>, gate<V>, mix<V>};
}

}  // namespace
}  // namespace nanoaccel
