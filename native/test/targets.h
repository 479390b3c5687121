// One case of each operator, which the bytes choose.
#pragma once

#include "choices.h"

namespace nanoaccel::test {

void test_linear(Choices& choose);
void test_float_linear(Choices& choose);
void test_experts(Choices& choose);
void test_attention(Choices& choose);
void test_convolution(Choices& choose);
void test_linear_attention(Choices& choose);
void test_low_rank(Choices& choose);
void test_likeliest(Choices& choose);
void test_draw(Choices& choose);

}  // namespace nanoaccel::test
