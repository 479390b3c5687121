// A stored matrix, or those of several experts, as C hands it over.
#pragma once

#include <cstdint>

extern "C" {

struct NanoaccelMatrix {
  const uint8_t* codes;  // or floats
  int64_t codes_size;    // in bytes
  const void* scales;
  int64_t scales_size, scales_half;
  const uint8_t* exponents;  // in place of scales
  int64_t exponents_size;
  const float* factors;  // of the exponents, of each expert; nullptr is 1
  int64_t factors_size;
  const uint8_t* zeros;
  int64_t zeros_size;
  const float* bias;
  int64_t bias_size;
};
}
