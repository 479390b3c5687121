// Adapters inside both linears: bits of all paths, rows alone and in company, values in double
// precision, adapters that do not fit, and tables that change while rows are computed.

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <thread>

#include "isa/path.h"
#include "linear/float/run.h"
#include "linear/linear.h"
#include "low_rank/table.h"
#include "parallel/serial_pool.h"
#include "require.h"
#include "targets.h"
#include "thread_pool.h"

namespace nanoaccel::test {
namespace {

// A matrix of either linear.
struct Matrix {
  bool quantized = false;
  PackedWeights codes;
  FloatWeights floats;
  int64_t inputs = 0, outputs = 0;
  bool gated = false;

  int64_t width() const { return gated ? outputs / 2 : outputs; }
};

void choose_matrix(Choices& choose, Matrix* m) {
  m->quantized = choose.one_in(2);
  m->inputs = choose.between(1, choose.one_in(4) ? 900 : 200);
  m->gated = choose.one_in(3);
  m->outputs = choose.between(1, 80) * (m->gated ? 2 : 1);
  std::string problem;
  if (m->quantized) {
    LinearSource source;
    source.inputs = m->inputs;
    source.outputs = m->outputs;
    source.bits = 4;
    source.group = 32;
    source.gated = m->gated;
    const int64_t groups = (m->inputs + 31) / 32;
    const std::vector<uint8_t> codes = choose.bytes(m->outputs * groups * 16);
    const std::vector<float> scales = choose.reals(m->outputs * groups, 0.01F);
    source.codes = {codes.data(), static_cast<int64_t>(codes.size())};
    source.scales = {scales.data(), static_cast<int64_t>(scales.size())};
    problem = m->codes.pack(source);
  } else {
    FloatSource source;
    source.inputs = m->inputs;
    source.outputs = m->outputs;
    source.gated = m->gated;
    source.rows = true;
    const std::vector<float> values = choose.reals(m->outputs * m->inputs, 0.1F);
    source.values = {reinterpret_cast<const uint8_t*>(values.data()),
                     static_cast<int64_t>(values.size() * sizeof(float))};
    problem = m->floats.pack(source);
  }
  require(problem.empty(), "low rank: refused a matrix: " + problem);
}

// An update and the memory that it points to.
struct Update {
  UpdateSource source;
  std::vector<std::vector<float>> numbers;
};

Update choose_update(Choices& choose, const Matrix& m) {
  Update u;
  u.source.inputs = m.inputs;
  u.source.outputs = m.outputs;
  u.source.gated = m.gated;
  u.source.format = choose.one_in(2) ? UpdateFormat::kInt8 : UpdateFormat::kFloat32;
  int64_t begin = 0;
  while (begin < m.outputs) {
    const int64_t rows = choose.between(1, m.outputs - begin);
    if (!choose.one_in(4)) {  // else the module has none
      const int64_t rank = choose.between(1, choose.one_in(2) ? 64 : 17);
      u.numbers.push_back(choose.reals(rank * m.inputs, 0.5F));
      u.numbers.push_back(choose.reals(rows * rank, 0.5F));
      if (choose.one_in(8)) std::fill(u.numbers.back().begin(), u.numbers.back().end(), 0.0F);
      const auto& down = u.numbers[u.numbers.size() - 2];
      u.source.parts.push_back({begin, rows, rank, down.data(), u.numbers.back().data()});
    }
    begin += rows;
  }
  return u;
}

struct Case {
  const Matrix& matrix;
  const AdapterTable& table;
  std::vector<float> x, norm, residual;
  std::vector<int32_t> slots;
  Activation activation = Activation::kNone;

  int64_t rows() const { return static_cast<int64_t>(slots.size()); }

  std::vector<float> run(const Path& path, int64_t first, int64_t count, Pool& pool, int64_t parts,
                         bool adapted = true) const {
    const int64_t width = matrix.width();
    const std::vector<int32_t> own(slots.begin() + first, slots.begin() + first + count);
    std::vector<float> y(static_cast<size_t>(count * width), -1.0F);
    LinearCall call = {};
    call.x = x.data() + first * matrix.inputs;
    call.y = y.data();
    call.residual = residual.empty() ? nullptr : residual.data() + first * width;
    call.rows = count;
    call.norm = {norm.empty() ? nullptr : norm.data(), 1e-5F, nullptr, false};
    call.activation = activation;
    if (adapted) call.adapters = {own.data(), 1, 0, &table, &path.low_rank, 0};
    if (matrix.quantized) {
      run_linear(path.linear, matrix.codes, call, pool, parts);
    } else {
      run_float_linear(path.float_linear, matrix.floats, call, pool, parts);
    }
    return y;
  }
};

float largest(const float* numbers, int64_t count, int64_t apart) {
  float most = 0.0F;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::fabs(numbers[i * apart]));
  return most;
}

// What the updates add to a row, and by how much that may be wrong.
void add_update(const UpdateSource& s, const float* x, std::vector<double>* y,
                std::vector<double>* tolerance) {
  double size = 0.0;
  for (int64_t k = 0; k < s.inputs; ++k) size += std::fabs(x[k]);
  const double step = s.format == UpdateFormat::kInt8 ? 1.0 / 254 : 0.0;
  for (const UpdatePart& part : s.parts) {
    for (int64_t r = 0; r < part.rank; ++r) {
      const float* const down = part.down + r * s.inputs;
      double hidden = 0.0;
      double magnitude = 0.0;
      for (int64_t k = 0; k < s.inputs; ++k) {
        hidden += static_cast<double>(down[k]) * x[k];
        magnitude += std::fabs(static_cast<double>(down[k]) * x[k]);
      }
      const double of_hidden = step * largest(down, s.inputs, 1) * size + 1e-5 * magnitude;
      const double of_up = step * largest(part.up + r, part.outputs, part.rank);
      for (int64_t n = 0; n < part.outputs; ++n) {
        const double up = part.up[n * part.rank + r];
        const auto at = static_cast<size_t>(part.begin + n);
        (*y)[at] += up * hidden;
        (*tolerance)[at] += (std::fabs(up) + of_up) * of_hidden + of_up * std::fabs(hidden) +
                            1e-5 * std::fabs(up * hidden);
      }
    }
  }
}

void require_values(const Case& given, const std::vector<Update>& updates,
                    const std::vector<float>& found, const std::vector<float>& base) {
  const int64_t outputs = given.matrix.outputs;
  for (int64_t m = 0; m < given.rows(); ++m) {
    const int32_t slot = given.slots[static_cast<size_t>(m)];
    std::vector<double> wanted(base.begin() + m * outputs, base.begin() + (m + 1) * outputs);
    std::vector<double> tolerance;
    for (const double one : wanted) tolerance.push_back(1e-5 * std::fabs(one) + 1e-6);
    if (slot >= 0) {
      const float* const x = given.x.data() + m * given.matrix.inputs;
      add_update(updates[static_cast<size_t>(slot)].source, x, &wanted, &tolerance);
    }
    for (int64_t n = 0; n < outputs; ++n) {
      const auto at = static_cast<size_t>(n);
      require_close(found[static_cast<size_t>(m * outputs + n)], wanted[at], tolerance[at],
                    "low rank: a value");
    }
  }
}

template <class Function>
void require_throws(Function function, const char* what) {
  try {
    function();
  } catch (const std::invalid_argument&) {
    return;
  }
  require(false, what);
}

// Numbers that do not fit are refused, and never read out of their bounds.
void test_refusals(Choices& choose, Update* update, AdapterTable* table) {
  UpdateSource& s = update->source;
  if (s.parts.empty()) return;
  const UpdateSource kept = s;
  int64_t* const sizes[] = {&s.inputs,        &s.outputs,          &s.parts[0].begin,
                            &s.parts[0].rank, &s.parts[0].outputs, &s.matrix};
  constexpr int64_t kNone[] = {-1, INT64_MIN, INT64_MAX};
  *choose.one_of(sizes) = choose.one_of(kNone);
  require_throws([&] { Adapter spoiled({s}); }, "low rank: took sizes that do not fit");
  s = kept;
  require_throws([&] { Adapter twice({s, s}); }, "low rank: took a matrix twice");
  update->numbers[0][0] = std::numeric_limits<float>::quiet_NaN();
  require_throws([&] { Adapter spoiled({s}); }, "low rank: took what is no number");
  require_throws([&] { table->unload(100); }, "low rank: freed a free slot");
  table->load(100, std::make_shared<const Adapter>(std::vector<UpdateSource>{}));
  require_throws([&] { table->load(100, nullptr); }, "low rank: filled a slot twice");
  table->unload(100);
}

void test_rows(Choices& choose, const Case& given, const std::vector<Update>& updates) {
  SerialPool serial;
  ThreadPool threads;
  const Path& reference = *runnable_paths().back();
  const int64_t width = given.matrix.width();
  const std::vector<float> wanted = given.run(reference, 0, given.rows(), serial, 1);
  const std::vector<float> base = given.run(reference, 0, given.rows(), serial, 1, false);
  for (const Path* path : runnable_paths()) {
    Pool& pool = choose.one_in(8) ? static_cast<Pool&>(threads) : serial;
    const int64_t parts = choose.between(1, 9);
    require_same(given.run(*path, 0, given.rows(), pool, parts), wanted,
                 std::string("low rank: ") + path->name);
    const int64_t first = choose.between(0, given.rows() - 1);
    const int64_t count = choose.between(1, given.rows() - first);
    require_same(given.run(*path, first, count, serial, parts),
                 {wanted.begin() + first * width, wanted.begin() + (first + count) * width},
                 std::string("low rank: some rows, ") + path->name);
  }
  for (int64_t m = 0; m < given.rows(); ++m) {
    if (given.slots[static_cast<size_t>(m)] >= 0) continue;
    require_same({wanted.begin() + m * width, wanted.begin() + (m + 1) * width},
                 {base.begin() + m * width, base.begin() + (m + 1) * width},
                 "low rank: a row without an adapter");
  }
  const bool plain = given.activation == Activation::kNone && !given.matrix.gated;
  if (plain && given.norm.empty()) require_values(given, updates, wanted, base);
}

// Other slots change meanwhile.
void test_changes(const Case& given, const Update& other, AdapterTable* table) {
  const Path& path = *runnable_paths().front();
  SerialPool serial;
  const std::vector<float> wanted = given.run(path, 0, given.rows(), serial, 1);
  std::thread loader([&] {
    for (int i = 0; i < 20; ++i) {
      table->load(50 + i % 2, std::make_shared<const Adapter>(std::vector{other.source}));
      table->unload(50 + i % 2);
    }
  });
  for (int i = 0; i < 5; ++i) {
    require_same(given.run(path, 0, given.rows(), serial, 3), wanted, "low rank: during loads");
  }
  loader.join();
}

}  // namespace

void test_low_rank(Choices& choose) {
  Matrix matrix;
  choose_matrix(choose, &matrix);
  AdapterTable table;
  std::vector<Update> updates;
  const int64_t adapters = choose.between(1, 4);
  for (int64_t slot = 0; slot < adapters; ++slot) {
    updates.push_back(choose_update(choose, matrix));
    table.load(slot, std::make_shared<const Adapter>(std::vector{updates.back().source}));
  }
  Case given = {matrix, table, {}, {}, {}, {}};
  const int64_t rows = choose.between(1, choose.one_in(8) ? 150 : 20);
  for (int64_t m = 0; m < rows; ++m) {
    const bool like_last = m > 0 && choose.random() % 2 == 0;
    const auto any = static_cast<int32_t>(choose.random() % static_cast<uint64_t>(adapters + 1));
    given.slots.push_back(like_last ? given.slots.back() : any - 1);
  }
  given.x = choose.reals(rows * matrix.inputs, 2.0F);
  if (choose.one_in(2)) given.norm = choose.reals(matrix.inputs, 1.0F);
  if (choose.one_in(2)) given.residual = choose.reals(rows * matrix.width(), 1.0F);
  if (choose.one_in(2)) {
    given.activation = static_cast<Activation>(choose.between(0, kActivations - 1));
  }
  test_rows(choose, given, updates);
  if (choose.one_in(8)) test_changes(given, updates[0], &table);
  SerialPool serial;
  const Path& path = *runnable_paths().front();
  given.slots[0] = static_cast<int32_t>(adapters);
  require_throws([&] { given.run(path, 0, rows, serial, 1); }, "low rank: used a free slot");
  UpdateSource wide;
  wide.inputs = matrix.inputs + 1;
  wide.outputs = matrix.outputs;
  table.load(adapters, std::make_shared<const Adapter>(std::vector{wide}));
  require_throws([&] { given.run(path, 0, rows, serial, 1); }, "low rank: of another graph");
  test_refusals(choose, &updates[0], &table);
}

}  // namespace nanoaccel::test
