// Tokens that may be drawn, and those of them that a filter keeps.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace nanoaccel {

struct Candidate {
  uint32_t rank;  // in the order of its logit
  int32_t id;
  float weight;
};

// The rank of a logit that is a number: of two, the larger has the larger.
inline uint32_t rank_of(float logit) {
  uint32_t bits;
  logit += 0.0F;  // which makes -0 the same as 0
  std::memcpy(&bits, &logit, sizeof bits);
  const auto sign = static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31);
  return bits ^ (sign | 1U << 31U);
}

// Keeps the k candidates of the highest ranks; of equal ones, the first.
void keep_top(std::vector<Candidate>& some, int64_t k);

// Keeps the candidates of the highest ranks until their weights reach ``mass``, with the one that
// reaches it; of equal ones, the first.
void keep_nucleus(std::vector<Candidate>& some, double mass);

// Keeps the candidates whose weight is not below ``least``.
void keep_heavy(std::vector<Candidate>& some, double least);

}  // namespace nanoaccel
