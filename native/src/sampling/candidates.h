// Tokens that may be drawn, and those of them that a filter keeps.
#pragma once

#include <cstdint>
#include <vector>

namespace nanoaccel {

struct Candidate {
  uint32_t rank;  // in the order of its logit
  int32_t id;
  float weight;
};

// The rank of a logit that is a number: of two, the larger has the larger.
uint32_t rank_of(float logit);

// Keeps the k candidates of the highest ranks; of equal ones, the first.
void keep_top(std::vector<Candidate>& some, int64_t k);

// Keeps the candidates of the highest ranks until their weights reach ``mass``, with the one that
// reaches it; of equal ones, the first.
void keep_nucleus(std::vector<Candidate>& some, double mass);

}  // namespace nanoaccel
