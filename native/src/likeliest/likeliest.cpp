#include "likeliest/likeliest.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace nanoaccel {
namespace {

constexpr int64_t kLanes = 32;               // which a compiler makes vectors of
constexpr int64_t kBlock = 32 * kLanes;      // numbers after which is noted where the best ones are
constexpr int64_t kSerialNumbers = 1 << 14;  // fewer are read faster than threads are woken

struct Best {
  float value = -std::numeric_limits<float>::infinity();
  int64_t index = 0;
  bool is_nan = false;
};

struct Work {
  const float* logits;
  int64_t rows;
  int64_t width;
  int64_t parts;
  std::vector<Best> best;  // [parts][rows]
};

// The largest of up to a block, and whether a number is none.
Best best_of_block(const float* x, int64_t count) {
  float best[kLanes];
  int32_t odd[kLanes] = {};
  std::fill_n(best, kLanes, -std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const float number = x[i + lane];
      best[lane] = number > best[lane] ? number : best[lane];
      odd[lane] |= number != number ? -1 : 0;
    }
  }
  Best found;
  for (; i < count; ++i) {
    found.value = std::max(found.value, x[i]);  // which is the first when the other is no number
    found.is_nan |= x[i] != x[i];
  }
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    found.value = std::max(found.value, best[lane]);
    found.is_nan |= odd[lane] != 0;
  }
  return found;
}

// The likeliest from ``first`` to ``last`` - 1 of a row.
Best best_between(const float* row, int64_t first, int64_t last) {
  Best best;
  best.index = first;
  int64_t where = first;
  for (int64_t begin = first; begin < last; begin += kBlock) {
    const Best found = best_of_block(row + begin, std::min(kBlock, last - begin));
    if (!found.is_nan && found.value <= best.value) continue;
    best.value = found.value;
    best.is_nan = found.is_nan;
    where = begin;
    if (best.is_nan) break;
  }
  for (int64_t i = where; i < std::min(where + kBlock, last); ++i) {
    if (best.is_nan ? row[i] != row[i] : row[i] == best.value) {
      best.index = i;
      break;
    }
  }
  return best;
}

// Some columns of all rows.
void search_part(void* memory, size_t index) {
  Work& work = *static_cast<Work*>(memory);
  const auto part = static_cast<int64_t>(index);
  const int64_t first = work.width * part / work.parts;
  const int64_t last = work.width * (part + 1) / work.parts;
  for (int64_t r = 0; r < work.rows; ++r) {
    work.best[part * work.rows + r] = best_between(work.logits + r * work.width, first, last);
  }
}

}  // namespace

void find_likeliest(const float* logits, int64_t rows, int64_t width, Pool& pool, int64_t parts,
                    int64_t* found) {
  if (rows * width <= kSerialNumbers || parts < 1) parts = 1;
  Work work = {logits, rows, width, parts, {}};
  work.best.resize(static_cast<size_t>(parts * rows));
  if (parts == 1) {
    search_part(&work, 0);
  } else {
    pool.run(search_part, static_cast<size_t>(parts), &work);
  }
  for (int64_t r = 0; r < rows; ++r) {
    Best best = work.best[r];
    for (int64_t part = 1; part < parts && !best.is_nan; ++part) {
      const Best& other = work.best[part * rows + r];
      if (other.is_nan || other.value > best.value) best = other;
    }
    found[r] = best.index;
  }
}

}  // namespace nanoaccel
