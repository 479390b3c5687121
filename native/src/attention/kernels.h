// Paged attention as its kernels see it: a layer, a pass over it, and the functions of a path.
//
// The context of a sequence is cut into pieces of kPiece tokens, from its first cached token on. A
// row, which is a head of a token, makes a record of each piece that it sees: the highest score,
// the sum of the weights, and the weighted values. Records are absorbed in the order of the pieces.
// So the result for a row depends on what it sees alone: not on other rows, nor on how a prompt was
// cut, nor on how pieces were divided between threads.
#pragma once

#include <cstdint>

#include "attention/cache_layout.h"

namespace nanoaccel {

constexpr int64_t kPiece = 128;    // tokens; a multiple of any block
constexpr int64_t kMostRows = 32;  // of an item, as far as one token has no more heads
constexpr float kScoreUnit = 0x1p24F;

struct AttentionLayer {
  CacheLayout cache;
  int64_t group;     // heads that share keys
  int64_t rotated;   // numbers of a head that are rotated by their position, from the first on
  bool interleaved;  // whether pairs are (0, 1), (2, 3), ..., else (0, rotated / 2), ...
  float scale;
  float softcap;   // 0 is none
  int64_t window;  // tokens that a token sees, itself included; 0 is all
  float epsilon;   // of the norms of heads
};

// Numbers of each token, some of them apart from the next token's.
struct TokenRows {
  const float* data;
  int64_t stride;
};

// T tokens of some sequences, one after the other.
struct AttentionPass {
  TokenRows queries;  // [T][heads * size]
  TokenRows keys;     // [T][heads of keys * size], not rotated; likewise values
  TokenRows values;
  const float* query_norm;   // [size], weights of an RMSNorm of each head; nullptr is none
  const float* key_norm;     // likewise
  float* output;             // [T][heads * size]
  double* scores;            // what each cached or new token draws, of one sequence after the other
  float* softmax;            // [T][heads][2], highest score and sum of weights; where scores are
  const int64_t* positions;  // [T]; unused without rotation
  const float* cosines;      // [position][rotated / 2]
  const float* sines;
  const float* sinks;     // [heads], scores that draw weight and have no value; nullptr is none
  const float* slopes;    // [heads], what a score loses for each token between (ALiBi); or nullptr
  const int32_t* begins;  // sequence s has tokens begins[s] to begins[s + 1]
  const int32_t* pasts;   // tokens that each has in the cache
  const int32_t* blocks;  // of sequence s: from block_begins[s] to block_begins[s + 1]
  const int32_t* block_begins;
  int64_t sequences;
  uint8_t* cache;       // the layer's part of block 0
  int64_t block_bytes;  // from a block to the next, other layers included
};

// Some tokens of a sequence, for the heads that share keys, over some pieces of the context.
struct AttentionItem {
  int64_t sequence;
  int64_t head;         // of the keys
  int64_t first_token;  // of the sequence's new ones
  int64_t last_token;   // behind it; likewise pieces
  int64_t first_piece;
  int64_t last_piece;
  float* records;  // [piece - first_piece][record]; nullptr where the item has all pieces
  const AttentionItem* next;  // that its thread likely attends behind it; nullptr is none
};

// Each unit has these for itself: it is compiled for its own instructions.
namespace {

inline int64_t rows_of(const AttentionLayer& layer, const AttentionItem& item) {
  return (item.last_token - item.first_token) * layer.group;
}

// Numbers of a record of some rows: [rows] highest scores, [rows] sums, [rows][size] values.
inline int64_t record_numbers(int64_t rows, int64_t size) { return rows * (size + 2); }

// Numbers that an item computes with: queries, scores and two records.
inline int64_t scratch_numbers(int64_t rows, int64_t size) {
  return rows * (size + kPiece) + 2 * record_numbers(rows, size);
}

// New tokens of a sequence.
inline int64_t new_tokens(const AttentionPass& pass, int64_t sequence) {
  return pass.begins[sequence + 1] - pass.begins[sequence];
}

// Which of all rows [T][heads] a row of an item is.
inline int64_t row_of(const AttentionLayer& layer, const AttentionPass& pass,
                      const AttentionItem& item, int64_t row) {
  const int64_t token = pass.begins[item.sequence] + item.first_token + row / layer.group;
  return (token * layer.cache.heads + item.head) * layer.group + row % layer.group;
}

inline uint8_t* block_of(const AttentionPass& pass, int64_t sequence, int64_t index) {
  return pass.cache + pass.blocks[pass.block_begins[sequence] + index] * pass.block_bytes;
}

}  // namespace

struct AttentionKernels {
  // Rotates keys, and writes keys and values of a head for tokens first to last - 1 of a sequence.
  void (*write)(const AttentionLayer&, const AttentionPass&, int64_t sequence, int64_t head,
                int64_t first, int64_t last);
  void (*attend)(const AttentionLayer&, const AttentionPass&, const AttentionItem&, float* scratch);
  // Adds what the tokens of a piece draw from an item to ``sums`` [kPiece], in 1 / kScoreUnit.
  void (*score)(const AttentionLayer&, const AttentionPass&, const AttentionItem&, int64_t piece,
                float* scratch, int64_t* sums);
  // The output of an item whose records were made apart.
  void (*absorb)(const AttentionLayer&, const AttentionPass&, const AttentionItem&, float* scratch);
};

}  // namespace nanoaccel
