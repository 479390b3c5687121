// The likeliest tokens: those that a plain search finds, with equal numbers and with none.

#include "likeliest/likeliest.h"

#include <limits>

#include "parallel/serial_pool.h"
#include "require.h"
#include "targets.h"
#include "thread_pool.h"

namespace nanoaccel::test {
namespace {

int64_t searched(const float* row, int64_t width) {
  int64_t best = 0;
  for (int64_t i = 0; i < width; ++i) {
    if (std::isnan(row[i])) return i;
    if (row[i] > row[best]) best = i;
  }
  return best;
}

}  // namespace

void test_likeliest(Choices& choose) {
  const int64_t rows = choose.between(0, 5);
  const int64_t width = choose.between(1, choose.one_in(4) ? 20000 : 300);
  std::vector<float> logits = choose.reals(rows * width, 10.0F);
  const float odd[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(), 10.0F};
  const int64_t strange = logits.empty() || choose.one_in(2) ? 0 : choose.between(1, 4);
  for (int64_t n = 0; n < strange; ++n) {
    logits[choose.between(0, rows * width - 1)] = choose.one_of(odd);
  }
  if (choose.one_in(8)) std::fill(logits.begin(), logits.end(), choose.one_of(odd));
  const int64_t parts = choose.between(1, 9);
  std::vector<int64_t> found(static_cast<size_t>(rows), -1);
  SerialPool serial;
  ThreadPool threads;
  Pool& pool = choose.one_in(4) ? static_cast<Pool&>(threads) : serial;
  find_likeliest(logits.data(), rows, width, pool, parts, found.data());
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t wanted = searched(logits.data() + r * width, width);
    require(found[r] == wanted, "row " + std::to_string(r) + ": " + std::to_string(found[r]) +
                                    " is not the likeliest, " + std::to_string(wanted) + " is");
  }
}

}  // namespace nanoaccel::test
