// The mixture of experts: bits of all paths, rows alone and in company, each expert against the
// linears that it is made of, and sources that do not fit.

#include "experts/experts.h"

#include <algorithm>
#include <numeric>

#include "isa/path.h"
#include "linear/float/run.h"
#include "linear/linear.h"
#include "parallel/serial_pool.h"
#include "require.h"
#include "targets.h"
#include "thread_pool.h"

namespace nanoaccel::test {
namespace {

// A projection of all experts, and the memory that it points to, of exactly its sizes.
struct Projection {
  ProjectionSource source;
  std::vector<uint8_t> codes, zeros, exponents;
  std::vector<float> scales, bias, factors;

  void choose(Choices& from, const ExpertsSource& s, int64_t rows, int64_t columns, bool mx,
              bool with_zeros) {
    if (from.one_in(2)) bias = from.reals(s.experts * rows, 1.0F);
    if (s.stored < Stored::kIntegers) return choose_floats(from, s.experts * rows * columns, s);
    const int64_t groups = columns / s.group;
    codes = from.bytes(s.experts * rows * columns * s.bits / 8);
    if (mx) {
      for (int64_t i = 0; i < s.experts * rows * groups; ++i) {
        exponents.push_back(static_cast<uint8_t>(110 + from.random() % 14));
      }
      if (from.one_in(2)) factors = from.reals(s.experts, 2.0F);
    } else {
      scales = from.reals(s.experts * rows * groups, 0.05F);
    }
    if (with_zeros) {
      zeros = from.bytes(s.experts * rows * (s.bits == 4 ? (groups + 1) / 2 : groups));
    }
    point_all();
  }

 private:
  // In f32, or in bf16, which is the upper half of it.
  void choose_floats(Choices& from, int64_t count, const ExpertsSource& s) {
    const int64_t size = s.stored == Stored::kFloat32 ? 4 : 2;
    codes.resize(static_cast<size_t>(count * size));
    const std::vector<float> numbers = from.reals(count, 0.5F);
    for (int64_t i = 0; i < count; ++i) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(numbers.data() + i) + (4 - size);
      std::copy(bytes, bytes + size, codes.data() + i * size);
    }
    point_all();
  }

  void point_all() {
    point(codes, &source.codes);
    point(scales, &source.scales);
    point(exponents, &source.exponents);
    point(factors, &source.factors);
    point(zeros, &source.zeros);
    point(bias, &source.bias);
  }

  template <class T>
  static void point(const std::vector<T>& from, Numbers<T>* to) {
    if (!from.empty()) *to = {from.data(), static_cast<int64_t>(from.size())};
  }
};

struct Case {
  ExpertsSource source;
  Projection gate_up, down;
  int64_t rows, top_k;
  GatedUnit unit;
  bool shares;
  std::vector<float> x, logits;
};

Case choose_case(Choices& choose, bool exact) {
  constexpr int64_t kGroups[] = {16, 32, 64};
  Case c = {};
  ExpertsSource& s = c.source;
  const bool mx = !exact && choose.one_in(3);
  constexpr Stored kStored[] = {Stored::kFloat32, Stored::kBfloat16, Stored::kIntegers};
  if (exact) s.stored = choose.one_of(kStored);
  s.experts = choose.between(1, choose.one_in(6) ? 40 : 8);
  s.bits = mx || choose.one_in(2) ? 4 : 8;
  s.group = mx ? 32 : choose.one_of(kGroups);
  s.hidden = s.group * choose.between(1, 3);
  s.inner = s.group * choose.between(1, 3);
  const bool zeros = !mx && choose.one_in(2);
  c.gate_up.choose(choose, s, 2 * s.inner, s.hidden, mx, zeros);
  c.down.choose(choose, s, s.hidden, s.inner, mx, zeros);
  s.gate_up = c.gate_up.source;
  s.down = c.down.source;
  c.top_k = choose.between(1, s.experts);
  c.rows = choose.between(1, choose.one_in(6) ? 200 : 12);
  constexpr Activation kGates[] = {Activation::kSilu, Activation::kGelu, Activation::kTanhGelu};
  c.unit = {1.0F, 0.0F, INFINITY, choose.one_of(kGates)};
  if (choose.one_in(2)) c.unit = {1.702F, 1.0F, 7.0F, Activation::kSilu};
  c.shares = choose.one_in(3);
  c.x = choose.reals(c.rows * s.hidden, 2.0F);
  c.logits = choose.reals(c.rows * s.experts, 3.0F);
  if (choose.one_in(4)) std::fill(c.logits.begin(), c.logits.end(), 0.5F);  // all alike
  if (choose.one_in(8)) c.logits[choose.random() % c.logits.size()] = NAN;
  return c;
}

const LinearKernels& linear_of(const Path& path, const ExpertWeights&) { return path.linear; }
const FloatKernels& linear_of(const Path& path, const FloatExpertWeights&) {
  return path.float_linear;
}

template <class Weights>
std::vector<float> run(const Path& path, const Weights& weights, const Case& c, int64_t first,
                       int64_t count, Pool& pool, int64_t parts) {
  const auto rows_of = [&](const std::vector<float>& all, int64_t width) {
    return std::vector<float>(all.begin() + first * width, all.begin() + (first + count) * width);
  };
  const std::vector<float> x = rows_of(c.x, weights.hidden());
  const std::vector<float> logits = rows_of(c.logits, weights.experts());
  std::vector<float> y(x.size(), -1.0F);
  run_experts(linear_of(path, weights), path.experts, weights,
              {x.data(), logits.data(), y.data(), count, c.top_k, c.unit, c.shares}, pool, parts);
  return y;
}

void run_one(const PackedWeights& weights, const LinearCall& call, Pool& pool) {
  run_linear(runnable_paths().back()->linear, weights, call, pool, 1);
}
void run_one(const FloatWeights& weights, const LinearCall& call, Pool& pool) {
  run_float_linear(runnable_paths().back()->float_linear, weights, call, pool, 1);
}

template <class Weights>
std::vector<float> product(const Weights& weights, const float* x) {
  std::vector<float> y(static_cast<size_t>(weights.outputs()));
  LinearCall call = {};
  call.x = x;
  call.y = y.data();
  call.rows = 1;
  SerialPool pool;
  run_one(weights, call, pool);
  return y;
}

double activated(const GatedUnit& unit, double x) {
  switch (unit.activation) {
    case Activation::kGelu:
      return x * 0.5 * (1.0 + std::erf(x / std::sqrt(2.0)));
    case Activation::kTanhGelu:
      return x / (1.0 + std::exp(-1.5957691216057308 * (x + 0.044715 * x * x * x)));
    default:
      return x / (1.0 + std::exp(-static_cast<double>(unit.alpha) * x));
  }
}

// The experts of a row, and what each counts.
std::vector<std::pair<size_t, double>> chosen_of(const Case& c, int64_t row) {
  const float* const logits = c.logits.data() + row * c.source.experts;
  const auto rank = [&](int64_t e) { return c.shares ? std::fabs(logits[e]) : logits[e]; };
  std::vector<int64_t> order(static_cast<size_t>(c.source.experts));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return rank(a) > rank(b); });
  double total = 0.0;
  for (int64_t i = 0; i < c.top_k; ++i) total += std::exp(logits[order[i]] - logits[order[0]]);
  std::vector<std::pair<size_t, double>> found;
  for (int64_t i = 0; i < c.top_k; ++i) {
    const double logit = logits[order[i]];
    const double share = c.shares ? logit : std::exp(logit - logits[order[0]]) / total;
    found.emplace_back(static_cast<size_t>(order[i]), share);
  }
  return found;
}

// A row by the linears of its experts, mixed in double precision. What is rounded between them may
// round the other way.
template <class Weights>
void require_row(const Case& c, const Weights& weights, int64_t row, const float* found,
                 double limit) {
  std::vector<double> wanted(static_cast<size_t>(weights.hidden()));
  std::vector<double> size(wanted.size());
  for (const auto& [expert, share] : chosen_of(c, row)) {
    const std::vector<float> both =
        product(weights.gate_up()[expert], c.x.data() + row * weights.hidden());
    std::vector<float> inner(static_cast<size_t>(weights.inner()));
    for (size_t k = 0; k < inner.size(); ++k) {
      const double gate = std::min(both[k], c.unit.limit);
      const double up = std::clamp(both[inner.size() + k], -c.unit.limit, c.unit.limit);
      inner[k] = static_cast<float>(activated(c.unit, gate) * (up + c.unit.beta));
    }
    const std::vector<float> part = product(weights.down()[expert], inner.data());
    double most = 0.0;
    for (const float one : part) most = std::max(most, std::fabs(static_cast<double>(one)));
    for (size_t k = 0; k < wanted.size(); ++k) {
      wanted[k] += share * part[k];
      size[k] += std::fabs(share) * most;
    }
  }
  for (size_t k = 0; k < wanted.size(); ++k) {
    require_close(found[k], wanted[k], limit * size[k] + 1e-30, "experts: a value");
  }
}

void spoil(Choices& choose, ExpertsSource* s) {
  int64_t* const shapes[] = {&s->experts, &s->hidden, &s->inner, &s->bits, &s->group};
  int64_t& spoiled = *choose.one_of(shapes);
  spoiled = choose.one_in(2) ? choose.odd() : spoiled + choose.between(-3, 3);
}

// Args: how far values may be off, by the largest that are added.
template <class Weights>
void test_kind(Choices& choose, bool exact, double limit) {
  Case c = choose_case(choose, exact);
  const bool spoiled = choose.one_in(6);
  if (spoiled) spoil(choose, &c.source);
  Weights weights;
  const std::string problem = weights.pack(c.source);
  if (!problem.empty()) return require(spoiled, "experts: refused: " + problem);
  if (spoiled) return;  // it means something else, which the rows need not fit

  SerialPool serial;
  ThreadPool threads;
  const Path& reference = *runnable_paths().back();
  const std::vector<float> wanted = run(reference, weights, c, 0, c.rows, serial, 1);
  for (const Path* path : runnable_paths()) {
    Pool& pool = choose.one_in(8) ? static_cast<Pool&>(threads) : serial;
    const int64_t parts = choose.between(1, 9);
    require_same(run(*path, weights, c, 0, c.rows, pool, parts), wanted,
                 std::string("experts: ") + path->name);
    const int64_t first = choose.between(0, c.rows - 1);
    const int64_t count = choose.between(1, c.rows - first);
    const auto begin = wanted.begin() + first * weights.hidden();
    require_same(run(*path, weights, c, first, count, serial, parts),
                 {begin, begin + count * weights.hidden()},
                 std::string("experts: some rows, ") + path->name);
  }
  const bool numbers =
      std::none_of(c.logits.begin(), c.logits.end(), [](float logit) { return std::isnan(logit); });
  const int64_t row = choose.between(0, c.rows - 1);
  if (numbers) require_row(c, weights, row, wanted.data() + row * weights.hidden(), limit);
}

}  // namespace

void test_experts(Choices& choose) {
  if (choose.one_in(2)) return test_kind<ExpertWeights>(choose, false, 0.03);
  test_kind<FloatExpertWeights>(choose, true, 1e-3);
}

}  // namespace nanoaccel::test
