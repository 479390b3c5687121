// Random cases without a fuzzer, so that any compiler will do.
//
//   test_operators CASES [SEED]

#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "isa/path.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "usage: test_operators CASES [SEED]\n");
    return 2;
  }
  const int cases = std::atoi(arguments[1]);
  const int seed = count > 2 ? std::atoi(arguments[2]) : 1;
  std::printf("paths:");
  for (const nanoaccel::Path* path : nanoaccel::runnable_paths()) std::printf(" %s", path->name);
  std::printf("\n");
  std::fflush(stdout);
  std::mt19937 random(static_cast<unsigned>(seed));
  std::vector<uint8_t> bytes(64);
  for (int i = 0; i < cases; ++i) {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf("%d cases\n", cases);
  return 0;
}
