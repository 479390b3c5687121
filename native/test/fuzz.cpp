// Where a fuzzer, or main.cpp, hands in bytes. The first of them chooses the operator.

#include "targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nanoaccel::test;
  constexpr void (*kTargets[])(Choices&) = {
      test_linear,           test_float_linear, test_experts,   test_attention, test_convolution,
      test_linear_attention, test_low_rank,     test_likeliest, test_draw};
  Choices choose(data, size);
  choose.one_of(kTargets)(choose);
  return 0;
}
