// The mixture of experts: bits of all paths, rows alone and in company, each expert against the
// linears that it is made of, and sources that do not fit.

#include "experts/experts.h"

#include <algorithm>
#include <numeric>

#include "isa/path.h"
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
    if (from.one_in(2)) bias = from.reals(s.experts * rows, 1.0F);
    point(codes, &source.codes);
    point(scales, &source.scales);
    point(exponents, &source.exponents);
    point(factors, &source.factors);
    point(zeros, &source.zeros);
    point(bias, &source.bias);
  }

 private:
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
  std::vector<float> x, logits;
};

Case choose_case(Choices& choose) {
  constexpr int64_t kGroups[] = {16, 32, 64};
  Case c = {};
  ExpertsSource& s = c.source;
  const bool mx = choose.one_in(3);
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
  c.unit = {1.0F, 0.0F, INFINITY};
  if (choose.one_in(2)) c.unit = {1.702F, 1.0F, 7.0F};
  c.x = choose.reals(c.rows * s.hidden, 2.0F);
  c.logits = choose.reals(c.rows * s.experts, 3.0F);
  if (choose.one_in(4)) std::fill(c.logits.begin(), c.logits.end(), 0.5F);  // all alike
  if (choose.one_in(8)) c.logits[choose.random() % c.logits.size()] = NAN;
  return c;
}

std::vector<float> run(const Path& path, const ExpertWeights& weights, const Case& c, int64_t first,
                       int64_t count, Pool& pool, int64_t parts) {
  const auto rows_of = [&](const std::vector<float>& all, int64_t width) {
    return std::vector<float>(all.begin() + first * width, all.begin() + (first + count) * width);
  };
  const std::vector<float> x = rows_of(c.x, weights.hidden());
  const std::vector<float> logits = rows_of(c.logits, weights.experts());
  std::vector<float> y(x.size(), -1.0F);
  run_experts(path.linear, path.experts, weights,
              {x.data(), logits.data(), y.data(), count, c.top_k, c.unit}, pool, parts);
  return y;
}

std::vector<float> product(const PackedWeights& weights, const float* x) {
  std::vector<float> y(static_cast<size_t>(weights.outputs()));
  LinearCall call = {};
  call.x = x;
  call.y = y.data();
  call.rows = 1;
  SerialPool pool;
  run_linear(runnable_paths().back()->linear, weights, call, pool, 1);
  return y;
}

// A row by the linears of its experts, mixed in double precision. What is rounded between them may
// round the other way.
void require_row(const Case& c, const ExpertWeights& weights, int64_t row, const float* found) {
  const float* const logits = c.logits.data() + row * weights.experts();
  std::vector<int64_t> order(static_cast<size_t>(weights.experts()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  double shares = 0.0;
  for (int64_t i = 0; i < c.top_k; ++i) shares += std::exp(logits[order[i]] - logits[order[0]]);
  std::vector<double> wanted(static_cast<size_t>(weights.hidden()));
  std::vector<double> size(wanted.size());
  for (int64_t i = 0; i < c.top_k; ++i) {
    const auto expert = static_cast<size_t>(order[i]);
    const double share = std::exp(logits[order[i]] - logits[order[0]]) / shares;
    const std::vector<float> both =
        product(weights.gate_up()[expert], c.x.data() + row * weights.hidden());
    std::vector<float> inner(static_cast<size_t>(weights.inner()));
    for (size_t k = 0; k < inner.size(); ++k) {
      const double gate = std::min(both[k], c.unit.limit);
      const double up = std::clamp(both[inner.size() + k], -c.unit.limit, c.unit.limit);
      const double gated = gate / (1.0 + std::exp(-c.unit.alpha * gate)) * (up + c.unit.beta);
      inner[k] = static_cast<float>(gated);
    }
    const std::vector<float> part = product(weights.down()[expert], inner.data());
    double most = 0.0;
    for (const float one : part) most = std::max(most, std::fabs(static_cast<double>(one)));
    for (size_t k = 0; k < wanted.size(); ++k) {
      wanted[k] += share * part[k];
      size[k] += share * most;
    }
  }
  for (size_t k = 0; k < wanted.size(); ++k) {
    require_close(found[k], wanted[k], 0.03 * size[k] + 1e-30, "experts: a value");
  }
}

void spoil(Choices& choose, ExpertsSource* s) {
  int64_t* const shapes[] = {&s->experts, &s->hidden, &s->inner, &s->bits, &s->group};
  int64_t& spoiled = *choose.one_of(shapes);
  spoiled = choose.one_in(2) ? choose.odd() : spoiled + choose.between(-3, 3);
}

}  // namespace

void test_experts(Choices& choose) {
  Case c = choose_case(choose);
  const bool spoiled = choose.one_in(6);
  if (spoiled) spoil(choose, &c.source);
  ExpertWeights weights;
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
  if (numbers) require_row(c, weights, row, wanted.data() + row * weights.hidden());
}

}  // namespace nanoaccel::test
