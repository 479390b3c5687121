// Packs a matrix that C hands over.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

#include "matrix_exports.h"

namespace nanoaccel {

// Scales, zero points and bias into a source of any kind; exponents' factors are apart.
template <class Source>
void read_numbers(const NanoaccelMatrix& given, Source* source) {
  if (given.scales_half != 0) {
    source->half_scales = {static_cast<const uint16_t*>(given.scales), given.scales_size};
  } else {
    source->scales = {static_cast<const float*>(given.scales), given.scales_size};
  }
  source->exponents = {given.exponents, given.exponents_size};
  source->zeros = {given.zeros, given.zeros_size};
  source->bias = {given.bias, given.bias_size};
}

// Packed weights, to be freed; nullptr, and why in ``problem``, when the source is malformed.
template <class Weights, class Source>
void* packed(const Source& source, char* problem, int64_t problem_size) {
  std::string found;
  try {
    auto weights = std::make_unique<Weights>();
    found = weights->pack(source);
    if (found.empty()) return weights.release();
  } catch (const std::exception& error) {
    found = error.what();
  }
  std::snprintf(problem, static_cast<size_t>(problem_size), "%s", found.c_str());
  return nullptr;
}

}  // namespace nanoaccel
