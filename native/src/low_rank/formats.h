// How 16 numbers of an update become f32.
#pragma once

#include "low_rank/kernels.h"

namespace nanoaccel {
namespace {

template <class V>
struct UpdateFloat32 {
  using Number = float;
  static typename V::Float load(const Number* p) { return V::load(p); }
};

template <class V>
struct UpdateInt8 {
  using Number = int8_t;
  static typename V::Float load(const Number* p) { return V::to_float(V::load_signed_bytes(p)); }
};

}  // namespace
}  // namespace nanoaccel
