// Activation functions over 16 lanes, in the same operations on every path.
#pragma once

#include "linear/kernels.h"
#include "linear/silu.h"

namespace nanoaccel {
namespace {

// x * sigmoid(-exponent)
template <class V>
typename V::Float times_sigmoid(typename V::Float x, typename V::Float exponent) {
  return V::div(x, V::add(V::set(1.0F), exponential<V>(exponent)));
}

template <class V, int Count>
typename V::Float polynomial(typename V::Float x, const float (&terms)[Count]) {
  typename V::Float sum = V::set(terms[0]);
  for (int i = 1; i < Count; ++i) sum = V::fma(sum, x, V::set(terms[i]));
  return sum;
}

// For |x| to 0.92 x times a polynomial in x^2, else 1 - e^p(|x|), as N. Juffa's erff has them:
// https://stackoverflow.com/a/35148199
template <class V>
typename V::Float erf(typename V::Float x) {
  using Float = typename V::Float;
  constexpr float kSmall[] = {-5.96761703e-4F, 4.99119423e-3F,  -2.67681349e-2F,
                              1.12819925e-1F,  -3.76125336e-1F, 1.28379166e-1F};
  constexpr float kLarge[] = {-1.72853470e-5F, 3.83197126e-4F,  -3.88396438e-3F, 2.42546219e-2F,
                              -1.06777877e-1F, -6.34846687e-1F, -1.28717512e-1F};
  const Float size = V::abs(x);
  const Float small = V::fma(polynomial<V>(V::mul(x, x), kSmall), x, x);
  const Float limited = V::min(size, V::set(4.0F));
  const Float power =
      V::fma(polynomial<V>(limited, kLarge), limited, V::mul(limited, V::set(-1.0F)));
  const Float large = V::add(V::set(1.0F), V::mul(exponential<V>(power), V::set(-1.0F)));
  const Float negated = V::mul(large, V::set(-1.0F));
  const Float outer = V::where_less(x, V::set(0.0F), negated, large);
  return V::where_less(size, V::set(0.921875F), small, outer);
}

template <class V>
typename V::Float activate(Activation kind, typename V::Float x) {
  using Float = typename V::Float;
  switch (kind) {
    case Activation::kSilu:
      return silu<V>(x);
    case Activation::kQuickGelu:
      return times_sigmoid<V>(x, V::mul(x, V::set(-1.702F)));
    case Activation::kTanhGelu: {  // (1 + tanh(z)) / 2 is the sigmoid of 2 z
      const Float cube = V::mul(V::mul(x, x), x);
      const Float inner = V::fma(cube, V::set(0.044715F), x);
      return times_sigmoid<V>(x, V::mul(inner, V::set(-1.59576912F)));  // -2 * sqrt(2 / pi)
    }
    case Activation::kGelu: {
      const Float area = V::add(V::set(1.0F), erf<V>(V::mul(x, V::set(0.70710678F))));
      return V::mul(V::mul(x, V::set(0.5F)), area);
    }
    case Activation::kRelu:
      return V::max(x, V::set(0.0F));
    case Activation::kSquaredRelu: {
      const Float positive = V::max(x, V::set(0.0F));
      return V::mul(positive, positive);
    }
    case Activation::kNone:
      break;
  }
  return x;
}

}  // namespace
}  // namespace nanoaccel
