// Codes of 4 bits that stand for the numbers of a table.
#pragma once

namespace nanoaccel {

constexpr int kTableSize = 16;

// Codes of MatMulNBits: as they are, and without a zero point.
constexpr float kUnsigned[kTableSize] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr float kSigned[kTableSize] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

// NF4 and FP4 as bitsandbytes and MatMulBnb4 have them; they are no multiples of anything.
// Dettmers et al. 2023, https://arxiv.org/abs/2305.14314
constexpr float kNf4[kTableSize] = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};
constexpr float kFp4[kTableSize] = {
    0.0F,  0.005208333333F,  0.66666667F,  1.0F,  0.33333333F,  0.5F,  0.16666667F,  0.25F,
    -0.0F, -0.005208333333F, -0.66666667F, -1.0F, -0.33333333F, -0.5F, -0.16666667F, -0.25F,
};

}  // namespace nanoaccel
