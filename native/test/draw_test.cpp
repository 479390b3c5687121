// Drawn tokens: those of a plain search that sorts the row, the same on every path.

#include "sampling/draw.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "isa/path.h"
#include "require.h"
#include "targets.h"

namespace nanoaccel::test {
namespace {

constexpr double kClose = 1e-5;  // of the mass: other sums, other powers

struct Plain {
  std::vector<int64_t> order;  // ids, the likeliest first
  std::vector<double> weights;

  Plain(const std::vector<float>& row, int64_t likeliest, float scale)
      : order(row.size()), weights(row.size()) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return row[a] > row[b]; });
    for (size_t i = 0; i < row.size(); ++i) {
      const double power =
          static_cast<double>(row[i] - row[likeliest]) * static_cast<double>(scale);
      weights[i] = power < -87 ? 0 : std::exp(power);
    }
  }

  double mass(size_t count) const {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) sum += weights[order[i]];
    return sum;
  }

  // How many of the likeliest tokens are kept if masses are a little other than here.
  size_t count(const DrawSettings& settings, double slack) const {
    size_t kept = order.size();
    if (settings.top_k > 0) kept = std::min(kept, static_cast<size_t>(settings.top_k));
    if (settings.top_p < 1) {
      const double wanted = settings.top_p * mass(kept) * (1 + slack);
      size_t n = 1;
      while (n < kept && mass(n) < wanted) ++n;
      kept = n;
    }
    size_t left = 0;
    while (left < kept && weights[order[left]] >= settings.min_p * (1 - slack)) ++left;
    return left;
  }

  // Whether a token may be what a number selects, where so many are kept.
  bool selects(size_t kept, double uniform, int64_t token) const {
    std::vector<int64_t> ids(order.begin(), order.begin() + static_cast<int64_t>(kept));
    std::sort(ids.begin(), ids.end());
    const double all = mass(kept);
    double before = 0;
    for (int64_t id : ids) {
      const double after = before + weights[id];
      if (id == token) {
        const double target = uniform * all;
        return before <= target + kClose * all && target <= after + kClose * all;
      }
      before = after;
    }
    return false;
  }
};

DrawSettings any_settings(Choices& choose, int64_t width) {
  const float scales[] = {1.0F, 0.5F, 5.0F, 1e30F};
  DrawSettings settings = {choose.one_of(scales), 0, 1.0, 0.0};
  if (choose.one_in(2)) settings.top_k = choose.between(1, width);
  if (choose.one_in(2)) settings.top_p = static_cast<double>(choose.between(1, 99)) / 100;
  if (choose.one_in(3)) settings.min_p = static_cast<double>(choose.between(1, 99)) / 100;
  return settings;
}

}  // namespace

void test_draw(Choices& choose) {
  const int64_t width = choose.between(1, choose.one_in(8) ? 3000 : 600);
  std::vector<float> row = choose.reals(width, choose.one_in(2) ? 10.0F : 0.5F);
  if (choose.one_in(4)) {  // few different ones
    for (float& logit : row) logit = std::round(logit);
  }
  const int64_t none = choose.one_in(3) ? choose.between(1, width) : 0;
  for (int64_t n = 0; n < none; ++n) {
    row[choose.between(0, width - 1)] = -std::numeric_limits<float>::infinity();
  }
  const DrawSettings settings = any_settings(choose, width);
  const double uniform = choose.one_in(8) ? 0x1.fffffffffffffp-1 : std::fabs(choose.real()) * 0.999;
  const int64_t likeliest = std::max_element(row.begin(), row.end()) - row.begin();
  const int64_t found =
      draw(row.data(), width, likeliest, settings, uniform, runnable_paths().back()->sampling);
  for (const Path* path : runnable_paths()) {
    require(draw(row.data(), width, likeliest, settings, uniform, path->sampling) == found,
            std::string(path->name) + " draws another token");
  }
  if (!std::isfinite(row[likeliest])) {
    require(found == -1, "there is nothing to draw");
    return;
  }
  require(found >= 0 && found < width && std::isfinite(row[found]), "it may not be drawn");
  const Plain plain(row, likeliest, settings.scale);
  bool right = false;
  for (double slack : {0.0, kClose, -kClose}) {
    right = right || plain.selects(plain.count(settings, slack), uniform, found);
  }
  require(right, "token " + std::to_string(found) + " is not what a plain search draws");
}

}  // namespace nanoaccel::test
