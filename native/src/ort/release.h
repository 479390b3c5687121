// Weights that were packed are not read again, and need not stay in memory beside what was made.
#pragma once

#include "linear/stored.h"
#include "memory/file_pages.h"

namespace nanoaccel::ort {

template <class T>
void release(const Numbers<T>& numbers) {
  release_file_pages(numbers.data, static_cast<size_t>(numbers.size) * sizeof(T));
}

// Codes or floats, scales and zero points; a bias is small.
template <class Source>
void release(const Numbers<uint8_t>& codes, const Source& source) {
  release(codes);
  release(source.scales);
  release(source.half_scales);
  release(source.exponents);
  release(source.zeros);
}

}  // namespace nanoaccel::ort
