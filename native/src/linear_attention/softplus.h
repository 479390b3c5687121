// log(1 + e^x) over 16 lanes, in the same operations on every path.
#pragma once

#include "linear/silu.h"

namespace nanoaccel {
namespace {

// max(x, 0) + log(1 + u) with u = e^-|x|; the logarithm is 2 atanh(z) with z = u / (2 + u), at most
// 1/3, by its series up to z^17.
template <class V>
typename V::Float softplus(typename V::Float x) {
  using Float = typename V::Float;
  const Float u = exponential<V>(V::mul(V::abs(x), V::set(-1.0F)));
  const Float z = V::div(u, V::add(u, V::set(2.0F)));
  const Float square = V::mul(z, z);
  constexpr float kTerms[] = {2.0F / 15, 2.0F / 13, 2.0F / 11, 2.0F / 9,
                              2.0F / 7,  2.0F / 5,  2.0F / 3,  2.0F};
  Float series = V::set(2.0F / 17);
  for (float term : kTerms) series = V::fma(series, square, V::set(term));
  return V::fma(series, z, V::max(x, V::set(0.0F)));
}

}  // namespace
}  // namespace nanoaccel
