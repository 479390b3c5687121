// Choices that a test makes: the fuzzer's bytes decide them, and random numbers follow from these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace nanoaccel::test {

class Choices {
 public:
  Choices(const uint8_t* data, size_t size) : data_(data), left_(size) {
    for (size_t i = 0; i < size; ++i) state_ = (state_ ^ data[i]) * 0x100000001b3U;  // FNV-1a
  }

  // A number from low to high, both included.
  int64_t between(int64_t low, int64_t high) {
    const auto range = static_cast<uint64_t>(high - low) + 1;
    return low + static_cast<int64_t>(next() % range);
  }
  bool one_in(int64_t n) { return between(1, n) == 1; }
  template <class T, size_t N>
  T one_of(const T (&of)[N]) {
    return of[between(0, N - 1)];
  }

  // Random numbers, which take no bytes.
  uint64_t random() {  // splitmix64
    uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  // From -1 to 1.
  float real() { return static_cast<float>(static_cast<int64_t>(random()) >> 39U) / 0x1p24F; }
  std::vector<float> reals(int64_t count, float scale) {
    std::vector<float> out(static_cast<size_t>(count));
    for (float& one : out) one = real() * scale;
    return out;
  }
  std::vector<uint8_t> bytes(int64_t count) {
    std::vector<uint8_t> out(static_cast<size_t>(count));
    for (uint8_t& one : out) one = static_cast<uint8_t>(random());
    return out;
  }
  // A value that no caller means.
  int64_t odd() {
    constexpr int64_t kOdd[] = {0,         -1,        1,         -2147483648LL, 2147483647LL,
                                INT64_MIN, INT64_MAX, 1LL << 31, 1LL << 40,     3};
    return one_of(kOdd);
  }

 private:
  // The next two bytes; behind the last ones, a random number.
  uint64_t next() {
    uint16_t value;
    if (left_ < sizeof value) return random();
    std::memcpy(&value, data_, sizeof value);
    data_ += sizeof value;
    left_ -= sizeof value;
    return value;
  }

  const uint8_t* data_;
  size_t left_;
  uint64_t state_ = 0xcbf29ce484222325U;
};

}  // namespace nanoaccel::test
