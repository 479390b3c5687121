// The quantized linear: bits of all paths, rows alone and in company, values in double precision,
// and sources that do not fit.

#include "linear/linear.h"

#include <algorithm>
#include <limits>

#include "isa/path.h"
#include "parallel/serial_pool.h"
#include "require.h"
#include "targets.h"
#include "thread_pool.h"

namespace nanoaccel::test {
namespace {

// A source and the memory that it points to, of exactly its sizes.
struct Weights {
  LinearSource source;
  std::vector<uint8_t> codes, zeros, exponents;
  std::vector<float> scales, bias;
  std::vector<uint16_t> half_scales;

  void point() {
    source.codes = {codes.data(), static_cast<int64_t>(codes.size())};
    if (!scales.empty()) source.scales = {scales.data(), static_cast<int64_t>(scales.size())};
    if (!half_scales.empty()) {
      source.half_scales = {half_scales.data(), static_cast<int64_t>(half_scales.size())};
    }
    if (!exponents.empty()) {
      source.exponents = {exponents.data(), static_cast<int64_t>(exponents.size())};
    }
    if (!zeros.empty()) source.zeros = {zeros.data(), static_cast<int64_t>(zeros.size())};
    if (!bias.empty()) source.bias = {bias.data(), static_cast<int64_t>(bias.size())};
  }
};

Weights choose_weights(Choices& choose) {
  constexpr int64_t kBits[] = {4, 8};
  constexpr int64_t kGroups[] = {16, 32, 64, 128, 256};
  Weights w;
  LinearSource& s = w.source;
  const bool mx = choose.one_in(4);
  s.bits = mx ? 4 : choose.one_of(kBits);
  s.group = mx ? 32 : choose.one_of(kGroups);
  s.inputs = choose.between(1, choose.one_in(4) ? 1500 : 300);
  s.outputs = choose.between(1, 90);
  s.gated = choose.one_in(4);
  if (s.gated) s.outputs *= 2;
  const int64_t groups = (s.inputs + s.group - 1) / s.group;
  w.codes = choose.bytes(s.outputs * groups * s.group * s.bits / 8);
  const int64_t own = choose.one_in(4) ? 1 : groups;  // one for each row, or for each group
  if (mx) {
    s.factor = choose.one_in(2) ? 1.0F : 0.75F;
    const int64_t least = choose.one_in(2) ? 114 : 90;  // f16 holds the former exactly
    for (int64_t i = 0; i < s.outputs * own; ++i) {
      w.exponents.push_back(
          static_cast<uint8_t>(least + static_cast<int64_t>(choose.random() % 9)));
    }
  } else if (choose.one_in(2)) {
    w.scales = choose.reals(s.outputs * own, 0.01F);
  } else {
    for (int64_t i = 0; i < s.outputs * own; ++i) {  // normal numbers of f16, up to 2
      w.half_scales.push_back(static_cast<uint16_t>(0x400U + choose.random() % 0x3c00U));
    }
  }
  if (!mx && choose.one_in(2))
    w.zeros = choose.bytes(s.outputs * (s.bits == 4 ? (groups + 1) / 2 : own));
  if (choose.one_in(2)) w.bias = choose.reals(s.outputs, 1.0F);
  w.point();
  return w;
}

struct Rows {
  std::vector<float> x, norm, norm_bias, residual;
  bool centered = false;
  Activation activation = Activation::kNone;
  int64_t count = 0;
  bool plain = true;  // whether all are finite, and of a size that is usual
};

Rows choose_rows(Choices& choose, const LinearSource& s) {
  constexpr float kOdd[] = {0.0F,
                            -0.0F,
                            3e38F,
                            -3e38F,
                            1e-40F,
                            std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()};
  Rows rows;
  rows.count = choose.between(1, choose.one_in(8) ? 80 : 12);
  rows.x = choose.reals(rows.count * s.inputs, 2.0F);
  if (choose.one_in(8)) {
    rows.plain = false;
    for (int i = 0; i < 4; ++i) rows.x[choose.random() % rows.x.size()] = choose.one_of(kOdd);
  }
  if (choose.one_in(2)) {
    rows.norm = choose.reals(s.inputs, 1.0F);
    rows.centered = choose.one_in(2);
    if (choose.one_in(2)) rows.norm_bias = choose.reals(s.inputs, 1.0F);
  }
  // Values are compared where it is the usual one.
  rows.activation = s.gated ? Activation::kSilu : Activation::kNone;
  if (choose.one_in(4)) {
    rows.activation = static_cast<Activation>(choose.between(0, kActivations - 1));
    rows.plain = false;
  }
  const int64_t outputs = s.gated ? s.outputs / 2 : s.outputs;
  if (choose.one_in(2)) rows.residual = choose.reals(rows.count * outputs, 1.0F);
  return rows;
}

std::vector<float> run(const Path& path, const PackedWeights& weights, const Rows& rows,
                       int64_t first, int64_t count, Pool& pool, int64_t parts) {
  const int64_t inputs = weights.view().inputs;
  const int64_t outputs = weights.outputs();
  // Copies of exactly these rows: a read behind them is one behind the memory.
  const std::vector<float> x(rows.x.begin() + first * inputs,
                             rows.x.begin() + (first + count) * inputs);
  std::vector<float> residual;
  if (!rows.residual.empty()) {
    residual.assign(rows.residual.begin() + first * outputs,
                    rows.residual.begin() + (first + count) * outputs);
  }
  std::vector<float> y(static_cast<size_t>(count * outputs), -1.0F);
  LinearCall call = {};
  call.x = x.data();
  call.y = y.data();
  call.residual = residual.empty() ? nullptr : residual.data();
  call.rows = count;
  call.norm = {rows.norm.empty() ? nullptr : rows.norm.data(), 1e-5F,
               rows.norm_bias.empty() ? nullptr : rows.norm_bias.data(), rows.centered};
  call.activation = rows.activation;
  run_linear(path.linear, weights, call, pool, parts);
  return y;
}

int64_t code_of(const LinearSource& s, int64_t row, int64_t k, int64_t groups) {
  const int64_t at = row * groups * s.group + k;
  if (s.bits == 8) return s.codes.data[at];
  return at % 2 == 0 ? s.codes.data[at / 2] & 15 : s.codes.data[at / 2] >> 4;
}

int64_t zero_of(const LinearSource& s, int64_t row, int64_t group, int64_t groups) {
  if (s.zeros.data == nullptr) return s.bits == 4 ? 8 : 128;
  if (s.bits == 8) {
    const int64_t own = s.zeros.size / s.outputs;
    return s.zeros.data[row * own + group * own / groups];
  }
  const uint8_t pair = s.zeros.data[row * ((groups + 1) / 2) + group / 2];
  return group % 2 == 0 ? pair & 15 : pair >> 4;
}

double number_of(const LinearSource& s, int64_t row, int64_t k, int64_t group, int64_t groups) {
  const int64_t code = code_of(s, row, k, groups);
  if (s.exponents.data == nullptr)
    return static_cast<double>(code - zero_of(s, row, group, groups));
  constexpr double kNumbers[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  return code < 8 ? kNumbers[code] : -kNumbers[code - 8];
}

// A normal number.
double from_half(uint16_t half) { return std::ldexp(1024 + (half & 1023), (half >> 10) - 25); }

double scale_of(const LinearSource& s, int64_t row, int64_t group, int64_t groups) {
  const int64_t own = (s.scales.size + s.half_scales.size + s.exponents.size) / s.outputs;
  const int64_t at = row * own + group * own / groups;
  if (s.exponents.data != nullptr) return s.factor * std::ldexp(1.0, s.exponents.data[at] - 127);
  return s.scales.data != nullptr ? static_cast<double>(s.scales.data[at])
                                  : from_half(s.half_scales.data[at]);
}

// An output of a row that has no norm, and the magnitudes that were added.
double product(const LinearSource& s, int64_t row, const float* x, double* magnitude) {
  const int64_t groups = (s.inputs + s.group - 1) / s.group;
  double total = s.bias.data == nullptr ? 0.0 : s.bias.data[row];
  *magnitude = std::fabs(total);
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t end = std::min(s.inputs, (g + 1) * s.group);
    float most = 0.0F;
    for (int64_t k = g * s.group; k < end; ++k) most = std::max(most, std::fabs(x[k]));
    const float inverse = most > 0.0F ? 127.0F / most : 0.0F;
    double sum = 0.0;  // exact
    for (int64_t k = g * s.group; k < end; ++k) {
      sum += number_of(s, row, k, g, groups) * static_cast<double>(std::nearbyintf(x[k] * inverse));
    }
    const double part = sum * scale_of(s, row, g, groups) * (static_cast<double>(most) / 127.0);
    total += part;
    *magnitude += std::fabs(part);
  }
  return total;
}

void require_values(const LinearSource& s, const Rows& rows, const std::vector<float>& y) {
  const int64_t outputs = s.gated ? s.outputs / 2 : s.outputs;
  for (int64_t m = 0; m < rows.count; ++m) {
    const float* const x = rows.x.data() + m * s.inputs;
    for (int64_t n = 0; n < outputs; ++n) {
      double magnitude = 0.0;
      double wanted = product(s, n, x, &magnitude);
      if (s.gated) {
        double of_up = 0.0;
        const double up = product(s, n + outputs, x, &of_up);
        const double gate = wanted / (1.0 + std::exp(-wanted));
        magnitude = magnitude * (std::fabs(up) + of_up) + std::fabs(gate) * of_up;
        wanted = gate * up;
      }
      const int64_t at = m * outputs + n;
      if (!rows.residual.empty()) {
        wanted += rows.residual[at];
        magnitude += std::fabs(rows.residual[at]);
      }
      require_close(y[at], wanted, 1e-5 * magnitude + 1e-30, "linear: a value");
    }
  }
}

// A source whose numbers do not fit each other is refused, or means something else; it is never
// read behind its ends.
void spoil(Choices& choose, LinearSource* s) {
  int64_t* const shapes[] = {&s->inputs, &s->outputs, &s->bits, &s->group};
  int64_t& spoiled = *choose.one_of(shapes);
  spoiled = choose.one_in(2) ? choose.odd() : spoiled + choose.between(-3, 3);
}

}  // namespace

void test_linear(Choices& choose) {
  Weights given = choose_weights(choose);
  const bool spoiled = choose.one_in(6);
  if (spoiled) spoil(choose, &given.source);
  const bool infinite = choose.one_in(16);
  if (infinite && !given.scales.empty()) given.scales.back() = INFINITY;
  if (infinite && !given.exponents.empty()) given.exponents.back() = 255;         // a NaN
  if (infinite && !given.half_scales.empty()) given.half_scales.back() = 0x7c01;  // a NaN
  PackedWeights weights;
  const std::string problem = weights.pack(given.source);
  if (!problem.empty()) return require(spoiled || infinite, "linear: refused: " + problem);
  require(!infinite, "linear: took scales that are not finite");
  const Rows rows = choose_rows(choose, given.source);

  SerialPool serial;
  ThreadPool threads;
  const Path& reference = *runnable_paths().back();
  const std::vector<float> wanted = run(reference, weights, rows, 0, rows.count, serial, 1);
  for (const Path* path : runnable_paths()) {
    Pool& pool = choose.one_in(8) ? static_cast<Pool&>(threads) : serial;
    const int64_t parts = choose.between(1, 9);
    require_same(run(*path, weights, rows, 0, rows.count, pool, parts), wanted,
                 std::string("linear: ") + path->name);
    const int64_t first = choose.between(0, rows.count - 1);
    const int64_t count = choose.between(1, rows.count - first);
    const auto begin = wanted.begin() + first * weights.outputs();
    require_same(run(*path, weights, rows, first, count, serial, parts),
                 {begin, begin + count * weights.outputs()},
                 std::string("linear: some rows, ") + path->name);
  }
  if (rows.plain && rows.norm.empty()) require_values(given.source, rows, wanted);
}

}  // namespace nanoaccel::test
