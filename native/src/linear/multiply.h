// Products of rows of activations with tiles of weights.
#pragma once

#include <cstddef>

#include "linear/codes.h"
#include "linear/finish.h"
#include "linear/kernels.h"
#include "linear/pairs.h"
#include "low_rank/expand.h"

namespace nanoaccel {
namespace {

constexpr int64_t kRowBlockBytes = 384 << 10;  // of activations that stay in the second-level cache
constexpr int64_t kChunkBytes = 4096;          // of codes that blocks of rows share while cached
constexpr int64_t kBlocksTogether = 4;
constexpr int kPrefetchBytes = 8192;

// What totals are before the first group.
template <class V>
struct Nothing {
  alignas(kTileBytes) static constexpr float totals[kUnitTiles * V::kRows * kTile] = {};
};

// Adds the products of M rows and T tiles over eight values of k to their sums.
template <class V, int M, Coding C, int T, class Sum>
inline void add_step(const uint8_t* codes, const int8_t* q, Sum (&sums)[T][M]) {
#pragma GCC unroll 2
  for (int half = 0; half < (bits_of(C) == 4 ? 1 : 2); ++half, codes += kUnitTiles * kTileBytes) {
    typename V::Codes low[T];
    typename V::Codes high[T];
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      __builtin_prefetch(codes + t * kTileBytes + kPrefetchBytes);
      low[t] = V::load_codes(codes + t * kTileBytes);
      if (bits_of(C) == 4) split_nibbles<V, C>(low[t], &low[t], &high[t]);
    }
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (int t = 0; t < T; ++t) {
        sums[t][m] = bits_of(C) == 4 ? V::dot_nibbles(sums[t][m], low[t], high[t], q + m * kStep)
                                     : V::dot_bytes(sums[t][m], low[t], q + m * kStep + half * 4);
      }
    }
  }
}

template <class V>
inline typename V::Float load_scales(const LinearView& w, int64_t block) {
  return w.half ? V::load_half(static_cast<const uint16_t*>(w.scales) + block * kTile)
                : V::load(static_cast<const float*>(w.scales) + block * kTile);
}

// The zero points of a block, as the codes of its path are offset.
template <class V, Coding C>
inline typename V::Int load_zeros(const LinearView& w, int64_t block) {
  constexpr int kOffset = C == Coding::kBytes ? V::kByteOffset : 0;
  return V::add_int(V::load_bytes(w.zeros + block * kTile), V::set_int(-kOffset));
}

// What the sums of M rows and T tiles begin with: minus the zero points times the activations.
template <class V, int M, Coding C, int T>
inline void begin_sums(const LinearView& w, int64_t block, const uint32_t* starts,
                       typename V::Int (&sums)[T][M]) {
#pragma GCC unroll 2
  for (int t = 0; t < T; ++t) {
    if (w.zeros == nullptr) {
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[t][m] = V::set_int(static_cast<int32_t>(starts[m]));
    } else {
      const typename V::Int zero = load_zeros<V, C>(w, block + t);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) sums[t][m] = V::mul_low(zero, starts + m);
    }
  }
}

// The M rows of a block times T tiles of a unit, from the tile ``first`` on, over some groups,
// added to the totals of those before.
//
// The totals stay in memory: the sums need the registers.
template <class V, int M, Coding C, int T>
__attribute__((noinline)) void add_groups(const LinearView& w, const ActivationView& a, int64_t row,
                                          int64_t unit, int first, Range groups, float* totals) {
  constexpr int64_t kStepBytes = kTileBytes * kUnitTiles * bits_of(C) / 4;
  const int64_t k_begin = groups.begin * w.group;
  const uint8_t* codes =
      w.codes + (unit * a.padded + k_begin) / kStep * kStepBytes + first * kTileBytes;
  const int8_t* q = a.codes + row * a.padded + k_begin * M;
  const float* scales = a.scales + row * a.groups + groups.begin * M;
  const uint32_t* starts = a.starts + row * a.groups + groups.begin * M;
  constexpr bool kPaired = V::kPairs && M > 1;
  for (int64_t g = groups.begin; g < groups.end; ++g, scales += M, starts += M) {
    const int64_t block = (unit * w.groups + g) * kUnitTiles + first;
    const float* const before = g == 0 ? Nothing<V>::totals : totals;
    typename V::Int sums[T][M];
    begin_sums<V, M, C, T>(w, block, starts, sums);
    if constexpr (kPaired) join_rows<V>(sums);
    for (int k = 0; k < w.group; k += kStep, codes += kStepBytes, q += M * kStep) {
      if constexpr (kPaired) {
        add_pairs<V, M, C>(codes, q, sums);
      } else {
        add_step<V, M, C>(codes, q, sums);
      }
    }
    if constexpr (kPaired) split_rows<V>(sums);
    __asm__ volatile("" ::: "memory");  // else the totals take registers, and the sums are spilled
#pragma GCC unroll 2
    for (int t = 0; t < T; ++t) {
      const typename V::Float scale = load_scales<V>(w, block + t);
      const auto at = static_cast<ptrdiff_t>((first + t) * M * kTile);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        const auto both = V::mul(scale, V::set(scales[m]));
        const auto total = V::load(before + at + m * kTile);
        V::store(totals + at + m * kTile, V::fma(V::to_float(sums[t][m]), both, total));
      }
    }
  }
}

// Finishes the rows of a block, whose totals are [tile][row][16].
template <class V>
void finish_block(OutputView out, int64_t row, int64_t rows, int64_t unit, float* totals) {
  if (out.updates != nullptr) {
    expand_updates<V>(out.updates + row, rows, unit, {totals, kTile, rows * kTile});
  }
  for (int64_t m = 0; m < rows; ++m) {
    finish<V>(out, row + m, unit, V::load(totals + m * kTile),
              V::load(totals + (rows + m) * kTile));
  }
}

using AddGroups = void (*)(const LinearView&, const ActivationView&, int64_t row, int64_t unit,
                           Range groups, float* totals);

template <class V, int M, Coding C>
void add_unit(const LinearView& w, const ActivationView& a, int64_t row, int64_t unit, Range groups,
              float* totals) {
  constexpr int kTogether = V::tiles(M);
  for (int t = 0; t < kUnitTiles; t += kTogether) {
    add_groups<V, M, C, kTogether>(w, a, row, unit, t, groups, totals);
  }
}

// The kernel for a block of so many rows.
template <class V, Coding C, int M = V::kRows>
AddGroups kernel_of(int64_t rows) {
  if constexpr (M > 1) {
    if (rows < M) return kernel_of<V, C, M - 1>(rows);
  }
  return add_unit<V, M, C>;
}

// A block of rows while it is multiplied with a unit.
struct Block {
  int64_t row;
  int64_t rows;
  AddGroups add;
};

// Some blocks of rows times some units. Blocks take turns after a few groups, so that codes come
// from memory once, and while one block computes the next codes arrive.
template <class V, Coding C>
void blocks_product(const LinearView& w, const ActivationView& a, const OutputView& out, Range rows,
                    Range units) {
  constexpr int64_t kTotals = kUnitTiles * V::kRows * kTile;
  alignas(kTileBytes) float totals[kBlocksTogether * kTotals];
  Block blocks[kBlocksTogether];
  int count = 0;
  for (int64_t row = rows.begin; row < rows.end; row += V::kRows, ++count) {
    const int64_t size = block_rows(a.rows, row, V::kRows);
    blocks[count] = {row, size, kernel_of<V, C>(size)};
  }
  int64_t chunk = kChunkBytes / (w.group * kUnitTiles * kTile * bits_of(C) / 8);
  if (count == 1) chunk = w.groups;
  if (chunk < 1) chunk = 1;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    if (out.updates != nullptr) {
      prefetch_updates(out.updates + rows.begin, rows.end - rows.begin, unit);
    }
    for (int64_t g = 0; g < w.groups; g += chunk) {
      const Range groups = {g, g + block_rows(w.groups, g, chunk)};
      for (int i = 0; i < count; ++i) {
        blocks[i].add(w, a, blocks[i].row, unit, groups, totals + i * kTotals);
      }
    }
    for (int i = 0; i < count; ++i) {
      finish_block<V>(out, blocks[i].row, blocks[i].rows, unit, totals + i * kTotals);
    }
  }
}

template <class V>
auto product_of(Coding coding) {
  switch (coding) {
    case Coding::kNibbles:
      return blocks_product<V, Coding::kNibbles>;
    case Coding::kBytes:
      return blocks_product<V, Coding::kBytes>;
    case Coding::kE2m1:
      return blocks_product<V, Coding::kE2m1>;
  }
  return blocks_product<V, Coding::kNibbles>;
}

template <class V>
void multiply(const LinearView& w, const ActivationView& a, const OutputView& out, Range rows,
              Range units) {
  constexpr int64_t kTogether = V::kRows * kBlocksTogether;
  const auto product = product_of<V>(w.coding);
  int64_t cached = kRowBlockBytes / a.padded / kTogether * kTogether;
  if (cached < kTogether) cached = kTogether;
  for (int64_t begin = rows.begin; begin < rows.end; begin += cached) {
    const int64_t end = begin + block_rows(rows.end, begin, cached);
    if (end - begin <= kTogether) {
      product(w, a, out, {begin, end}, units);
      continue;
    }
    for (int64_t unit = units.begin; unit < units.end; ++unit) {
      for (int64_t row = begin; row < end; row += kTogether) {
        product(w, a, out, {row, row + block_rows(end, row, kTogether)}, {unit, unit + 1});
      }
    }
  }
}

}  // namespace
}  // namespace nanoaccel
