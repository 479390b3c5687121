// What a test requires: a failure ends the program, so that a fuzzer keeps the input.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace nanoaccel::test {

inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::abort();
}

// The same bits, or both no numbers.
inline void require_same(const std::vector<float>& found, const std::vector<float>& wanted,
                         const std::string& what) {
  require(found.size() == wanted.size(), what + ": other sizes");
  for (size_t i = 0; i < found.size(); ++i) {
    const bool same = std::memcmp(&found[i], &wanted[i], sizeof(float)) == 0;
    if (same || (std::isnan(found[i]) && std::isnan(wanted[i]))) continue;
    require(false, what + ": number " + std::to_string(i) + " is " + std::to_string(found[i]) +
                       ", not " + std::to_string(wanted[i]));
  }
}

inline void require_close(double found, double wanted, double tolerance, const std::string& what) {
  require(std::fabs(found - wanted) <= tolerance,
          what + ": " + std::to_string(found) + " is not close to " + std::to_string(wanted));
}

}  // namespace nanoaccel::test
