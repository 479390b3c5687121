#include "sampling/draw.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "sampling/candidates.h"

namespace nanoaccel {
namespace {

// Weights of a row, and what is kept of it; the memory is used again for the next one.
struct Row {
  std::vector<float> weights;
  std::vector<double> sums;
  std::vector<float> tops;
  std::vector<float> highest;
  std::vector<Candidate> kept;
  double mass = 0;

  void weigh(const float* row, int64_t width, float peak, float scale,
             const SamplingKernels& kernels) {
    const auto blocks = static_cast<size_t>((width + kWeighed - 1) / kWeighed);
    weights.resize(static_cast<size_t>(width));
    sums.resize(blocks);
    tops.resize(blocks);
    kernels.weigh(row, width, peak, scale, weights.data(), sums.data(), tops.data());
    mass = 0;
    for (double sum : sums) mass += sum;
  }

  // Keeps the tokens whose weight is not below a bound, and not 0.
  void gather(const float* row, double bound) {
    const auto least = std::max(static_cast<float>(bound), std::numeric_limits<float>::min());
    const auto width = static_cast<int64_t>(weights.size());
    size_t count = 0;
    for (size_t block = 0; block < tops.size(); ++block) {
      if (!(tops[block] >= least)) continue;
      const int64_t begin = static_cast<int64_t>(block) * kWeighed;
      kept.resize(count + kWeighed);
      for (int64_t i = begin; i < std::min(begin + kWeighed, width); ++i) {
        kept[count] = {rank_of(row[i]), static_cast<int32_t>(i), weights[i]};
        count += weights[i] >= least ? 1 : 0;
      }
    }
    kept.resize(count);
  }

  double kept_mass() const {
    double sum = 0;
    for (const Candidate& one : kept) sum += static_cast<double>(one.weight);
    return sum;
  }

  // A weight that at least k tokens reach, and usually few more: the k-th largest of the blocks.
  double bound_of_top(int64_t k) {
    if (k > static_cast<int64_t>(tops.size())) return 0;
    highest = tops;
    std::nth_element(highest.begin(), highest.begin() + (k - 1), highest.end(), std::greater<>());
    return static_cast<double>(highest[k - 1]);
  }
};

// Tokens below the bound that this begins with have less mass together than top-p may leave out;
// the bound is so low only for a flat tail, so a higher one is tried first.
constexpr double kEager = 16;

void filter(Row& found, const float* row, const DrawSettings& settings) {
  const bool nucleus = settings.top_p < 1;
  if (settings.top_k > 0) {
    found.gather(row, found.bound_of_top(settings.top_k));
    keep_top(found.kept, settings.top_k);
    if (nucleus) keep_nucleus(found.kept, settings.top_p * found.kept_mass());
  } else if (nucleus) {
    const double wanted = settings.top_p * found.mass;
    const double sure =
        (1 - settings.top_p) * found.mass / static_cast<double>(found.weights.size());
    found.gather(row, kEager * sure);
    if (found.kept_mass() < wanted) found.gather(row, 0);
    keep_nucleus(found.kept, wanted);
  } else {
    found.gather(row, settings.min_p);
  }
  if (settings.min_p > 0) keep_heavy(found.kept, settings.min_p);
}

int64_t draw_kept(const std::vector<Candidate>& kept, double target) {
  double sum = 0;
  int64_t last = 0;
  for (const Candidate& one : kept) {
    sum += static_cast<double>(one.weight);
    last = one.id;
    if (sum > target) break;
  }
  return last;
}

int64_t draw_any(const Row& found, int64_t likeliest, double target) {
  size_t block = 0;
  int64_t last = likeliest;  // where the target was rounded up to the sum
  double before = 0;
  while (block + 1 < found.sums.size() && before + found.sums[block] <= target) {
    before += found.sums[block++];
  }
  const auto width = static_cast<int64_t>(found.weights.size());
  for (int64_t i = static_cast<int64_t>(block) * kWeighed; i < width; ++i) {
    if (found.weights[i] > 0) last = i;
    before += static_cast<double>(found.weights[i]);
    if (before > target && found.weights[i] > 0) return i;
  }
  return last;
}

}  // namespace

int64_t draw(const float* row, int64_t width, int64_t likeliest, const DrawSettings& settings,
             double uniform, const SamplingKernels& kernels) {
  const float peak = row[likeliest];
  if (!std::isfinite(peak)) return -1;
  thread_local Row found;
  found.weigh(row, width, peak, settings.scale, kernels);
  if (settings.top_k <= 0 && settings.top_p >= 1 && settings.min_p <= 0) {
    return draw_any(found, likeliest, uniform * found.mass);
  }
  filter(found, row, settings);
  return draw_kept(found.kept, uniform * found.kept_mass());
}

}  // namespace nanoaccel
