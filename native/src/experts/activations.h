// Inputs of experts that stand apart by rows, and that are gathered for experts: int8, or f32.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "experts/slots.h"
#include "linear/float/kernels.h"
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

// The same in f32.
class FloatActivations {
 public:
  void reserve(const FloatView& w, int64_t rows) {
    all_ = {rows, w.padded, grown(&numbers_, rows * w.padded)};
  }

  FloatRows rows(Range range) const {
    return {range.end - range.begin, all_.padded, all_.x + range.begin * all_.padded};
  }
  FloatRows row(int64_t index) const { return rows({index, index + 1}); }

 private:
  FloatRows all_ = {};
  std::vector<float> numbers_;
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

inline void gather_row(const FloatRows& from, const FloatRows& to, int64_t row, int64_t block) {
  const int64_t begin = row / block * block;
  const int64_t rows = block_rows(to.rows, begin, block);
  float* numbers = to.x + begin * to.padded + (row - begin);
  for (int64_t k = 0; k < to.padded; ++k, numbers += rows) *numbers = from.x[k];
}

}  // namespace nanoaccel
