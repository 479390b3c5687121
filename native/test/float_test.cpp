// The float linear: bits of all paths, rows alone and in company, values in double precision, and
// sources that do not fit.

#include <algorithm>
#include <limits>

#include "isa/path.h"
#include "linear/float/run.h"
#include "linear/float/table.h"
#include "parallel/serial_pool.h"
#include "require.h"
#include "targets.h"
#include "thread_pool.h"

namespace nanoaccel::test {
namespace {

// A source, the memory that it points to, of exactly its sizes, and the weights that it means.
struct Weights {
  FloatSource source;
  std::vector<uint8_t> values, zeros;
  std::vector<float> scales, bias;
  std::vector<double> numbers;  // [N][K]

  void point() {
    source.values = {values.data(), static_cast<int64_t>(values.size())};
    if (!scales.empty()) source.scales = {scales.data(), static_cast<int64_t>(scales.size())};
    if (!zeros.empty()) source.zeros = {zeros.data(), static_cast<int64_t>(zeros.size())};
    if (!bias.empty()) source.bias = {bias.data(), static_cast<int64_t>(bias.size())};
  }
};

// Multiples of 1/128 up to 1, which every type holds.
void choose_floats(Choices& choose, Weights* w) {
  const FloatSource& s = w->source;
  const int64_t size = s.stored == Stored::kFloat32 ? 4 : 2;
  const bool fine = s.stored == Stored::kFloat32 && choose.one_in(2);
  w->values.resize(static_cast<size_t>(s.inputs * s.outputs * size));
  w->numbers.resize(static_cast<size_t>(s.inputs * s.outputs));
  for (int64_t row = 0; row < s.outputs; ++row) {
    for (int64_t k = 0; k < s.inputs; ++k) {
      float number = static_cast<float>(choose.random() % 129) / 128.0F;
      if (fine) number = choose.real();
      w->numbers[row * s.inputs + k] = static_cast<double>(number);
      uint32_t bits;
      std::memcpy(&bits, &number, sizeof bits);
      uint16_t narrow = static_cast<uint16_t>(bits >> 16U);
      if (s.stored == Stored::kFloat16) {
        narrow = number == 0.0F ? 0 : static_cast<uint16_t>((bits - (112U << 23U)) >> 13U);
      }
      uint8_t* const to =
          w->values.data() + size * (s.rows ? row * s.inputs + k : k * s.outputs + row);
      std::memcpy(to, size == 4 ? static_cast<void*>(&bits) : &narrow, static_cast<size_t>(size));
    }
  }
}

double of_code(const Weights& w, int64_t row, int64_t k, int64_t groups) {
  const FloatSource& s = w.source;
  const int64_t at = row * groups * s.group + k;
  const bool integers = s.stored == Stored::kIntegers;
  const bool upper = (at % 2 == 0) != integers;  // of tables the earlier one
  const int64_t code = s.bits == 8 ? w.values[at] : (w.values[at / 2] >> (upper ? 4 : 0)) & 15;
  if (!integers) return static_cast<double>((s.stored == Stored::kNf4 ? kNf4 : kFp4)[code]);
  const int64_t group = k / s.group;
  if (w.zeros.empty()) return static_cast<double>(code - (s.bits == 4 ? 8 : 128));
  if (s.bits == 8) return static_cast<double>(code - w.zeros[row * groups + group]);
  const uint8_t pair = w.zeros[row * ((groups + 1) / 2) + group / 2];
  return static_cast<double>(code - (group % 2 == 0 ? pair & 15 : pair >> 4));
}

void choose_codes(Choices& choose, Weights* w) {
  FloatSource& s = w->source;
  constexpr int64_t kGroups[] = {16, 32, 48, 128};
  s.group = choose.one_of(kGroups);
  const bool table = s.stored != Stored::kIntegers;
  s.bits = table || choose.one_in(2) ? 4 : 8;
  if (table) s.inputs = (s.inputs + s.group - 1) / s.group * s.group;
  const int64_t groups = s.groups();
  w->values = choose.bytes(s.outputs * groups * s.group * s.bits / 8);
  w->scales = choose.reals(s.outputs * groups, 0.1F);
  if (!table && choose.one_in(2)) {
    w->zeros = choose.bytes(s.outputs * (s.bits == 4 ? (groups + 1) / 2 : groups));
  }
  w->numbers.resize(static_cast<size_t>(s.inputs * s.outputs));
  for (int64_t row = 0; row < s.outputs; ++row) {
    for (int64_t k = 0; k < s.inputs; ++k) {
      const double scale = w->scales[row * groups + k / s.group];
      w->numbers[row * s.inputs + k] = of_code(*w, row, k, groups) * scale;
    }
  }
}

Weights choose_weights(Choices& choose) {
  Weights w;
  FloatSource& s = w.source;
  s.stored = static_cast<Stored>(choose.between(0, static_cast<int64_t>(Stored::kFp4)));
  s.inputs = choose.between(1, choose.one_in(4) ? 700 : 100);
  s.outputs = choose.between(1, 70);
  s.gated = choose.one_in(4);
  if (s.gated) s.outputs *= 2;
  s.rows = choose.one_in(2);
  if (s.stored <= Stored::kBfloat16) {
    choose_floats(choose, &w);
  } else {
    choose_codes(choose, &w);
  }
  if (choose.one_in(2)) w.bias = choose.reals(s.outputs, 1.0F);
  w.point();
  return w;
}

std::vector<float> run(const Path& path, const FloatWeights& weights, const std::vector<float>& all,
                       int64_t first, int64_t count, Pool& pool, int64_t parts) {
  const int64_t inputs = weights.view().inputs;
  // A copy of exactly these rows: a read behind them is one behind the memory.
  const std::vector<float> x(all.begin() + first * inputs, all.begin() + (first + count) * inputs);
  std::vector<float> y(static_cast<size_t>(count * weights.outputs()), -1.0F);
  LinearCall call = {};
  call.x = x.data();
  call.y = y.data();
  call.rows = count;
  run_float_linear(path.float_linear, weights, call, pool, parts);
  return y;
}

void require_values(const Weights& w, const std::vector<float>& x, const std::vector<float>& y) {
  const FloatSource& s = w.source;
  const int64_t outputs = s.gated ? s.outputs / 2 : s.outputs;
  const auto product = [&](int64_t m, int64_t row, double* size) {
    double total = w.bias.empty() ? 0.0 : w.bias[row];
    *size = std::fabs(total);
    for (int64_t k = 0; k < s.inputs; ++k) {
      const double part = w.numbers[row * s.inputs + k] * x[m * s.inputs + k];
      total += part;
      *size += std::fabs(part);
    }
    return total;
  };
  for (int64_t m = 0; m < static_cast<int64_t>(x.size()) / s.inputs; ++m) {
    for (int64_t n = 0; n < outputs; ++n) {
      double size = 0.0;
      double wanted = product(m, n, &size);
      if (s.gated) {
        double of_up = 0.0;
        const double up = product(m, n + outputs, &of_up);
        size = size * of_up;
        wanted *= up;
      }
      require_close(y[m * outputs + n], wanted, 1e-5 * size + 1e-30, "float linear: a value");
    }
  }
}

void spoil(Choices& choose, FloatSource* s) {
  int64_t* const shapes[] = {&s->inputs, &s->outputs, &s->bits, &s->group};
  int64_t& spoiled = *choose.one_of(shapes);
  spoiled = choose.one_in(2) ? choose.odd() : spoiled + choose.between(-3, 3);
}

}  // namespace

void test_float_linear(Choices& choose) {
  Weights given = choose_weights(choose);
  const bool spoiled = choose.one_in(6);
  if (spoiled) spoil(choose, &given.source);
  FloatWeights weights;
  const std::string problem = weights.pack(given.source);
  if (!problem.empty()) return require(spoiled, "float linear: refused: " + problem);
  const int64_t rows = choose.between(1, choose.one_in(8) ? 150 : 12);
  std::vector<float> x = choose.reals(rows * given.source.inputs, 2.0F);
  const bool odd = choose.one_in(8);
  if (odd) x[choose.random() % x.size()] = std::numeric_limits<float>::quiet_NaN();

  SerialPool serial;
  ThreadPool threads;
  const Path& reference = *runnable_paths().back();
  const std::vector<float> wanted = run(reference, weights, x, 0, rows, serial, 1);
  for (const Path* path : runnable_paths()) {
    Pool& pool = choose.one_in(8) ? static_cast<Pool&>(threads) : serial;
    const int64_t parts = choose.between(1, 9);
    require_same(run(*path, weights, x, 0, rows, pool, parts), wanted,
                 std::string("float linear: ") + path->name);
    const int64_t first = choose.between(0, rows - 1);
    const int64_t count = choose.between(1, rows - first);
    const auto begin = wanted.begin() + first * weights.outputs();
    require_same(run(*path, weights, x, first, count, serial, parts),
                 {begin, begin + count * weights.outputs()},
                 std::string("float linear: some rows, ") + path->name);
  }
  if (!odd && !spoiled) require_values(given, x, wanted);
}

}  // namespace nanoaccel::test
