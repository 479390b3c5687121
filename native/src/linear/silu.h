// x * sigmoid(x) over 16 lanes, in the same operations on every path.
#pragma once

namespace nanoaccel {
namespace {

// e^x for x in [-87, 87]: 2^n * e^r with |r| <= ln(2) / 2, e^r by its Taylor series of degree 7.
template <class V>
typename V::Float exponential(typename V::Float x) {
  using Float = typename V::Float;
  const Float limited = V::min(V::max(x, V::set(-87.0F)), V::set(87.0F));
  const typename V::Int n = V::round(V::mul(limited, V::set(1.44269504F)));
  const Float whole = V::to_float(n);
  Float r = V::fma(whole, V::set(-0.693359375F), limited);  // ln(2) in two parts
  r = V::fma(whole, V::set(2.12194440e-4F), r);
  constexpr float kTerms[] = {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F};
  Float power = V::set(1.0F / 5040);
  for (float term : kTerms) power = V::fma(power, r, V::set(term));
  return V::mul(power, V::exp2(n));
}

template <class V>
typename V::Float silu(typename V::Float x) {
  const typename V::Float negated = V::mul(x, V::set(-1.0F));
  return V::div(x, V::add(V::set(1.0F), exponential<V>(negated)));
}

}  // namespace
}  // namespace nanoaccel
