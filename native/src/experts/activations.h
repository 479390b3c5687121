// Activations in int8 that stand apart by rows, and that are gathered for experts.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "experts/slots.h"
#include "linear/kernels.h"

namespace nanoaccel {

template <class T>
T* grown(std::vector<T>* memory, int64_t size) {
  if (memory->size() < static_cast<size_t>(size)) memory->resize(static_cast<size_t>(size));
  return memory->data();
}

// Rows of a linear's input, whose memory grows and never shrinks.
class Activations {
 public:
  void reserve(const LinearView& w, int64_t rows) {
    const int64_t padded = w.groups * w.group;
    all_ = {rows,
            w.groups,
            padded,
            grown(&codes_, rows * padded),
            grown(&scales_, rows * w.groups),
            grown(&sums_, rows * w.groups)};
  }

  // Some of the rows, as blocks of their own.
  ActivationView rows(Range range) const {
    return {range.end - range.begin,
            all_.groups,
            all_.padded,
            all_.codes + range.begin * all_.padded,
            all_.scales + range.begin * all_.groups,
            all_.starts + range.begin * all_.groups};
  }
  ActivationView row(int64_t index) const { return rows({index, index + 1}); }

 private:
  ActivationView all_ = {};
  std::vector<int8_t> codes_;
  std::vector<float> scales_;
  std::vector<uint32_t> sums_;
};

// A row that stands alone into its place among those of an expert.
inline void gather_row(const ActivationView& from, const ActivationView& to, int64_t row,
                       int64_t block) {
  const int64_t begin = row / block * block;
  const int64_t rows = block_rows(to.rows, begin, block);
  int8_t* codes = to.codes + begin * to.padded + (row - begin) * kStep;
  for (int64_t k = 0; k < to.padded; k += kStep, codes += rows * kStep) {
    std::memcpy(codes, from.codes + k, kStep);
  }
  for (int64_t g = 0; g < to.groups; ++g) {
    const int64_t at = begin * to.groups + g * rows + row - begin;
    to.scales[at] = from.scales[g];
    to.starts[at] = from.starts[g];
  }
}

}  // namespace nanoaccel
