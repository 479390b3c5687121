#include "attention/scores.h"

#include <algorithm>
#include <vector>

#include "attention/items.h"

namespace nanoaccel {
namespace {

// A piece of a sequence, and where its tokens' scores go.
struct ScoredPiece {
  int64_t sequence;
  int64_t piece;
  int64_t tokens;
  double* out;
};

struct Work {
  const AttentionKernels& kernels;
  const AttentionLayer& layer;
  const AttentionPass& pass;
  const std::vector<AttentionItem>& items;
  const std::vector<ScoredPiece>& pieces;
};

int64_t length_of(const AttentionPass& pass, int64_t sequence) {
  return pass.pasts[sequence] + new_tokens(pass, sequence);
}

void score_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const ScoredPiece& one = work.pieces[index];
  int64_t sums[kPiece] = {};
  for (const AttentionItem& item : work.items) {
    const bool seen = one.piece >= item.first_piece && one.piece < item.last_piece;
    if (item.sequence != one.sequence || !seen) continue;
    const int64_t rows = rows_of(work.layer, item);
    float* const scratch = thread_scratch(scratch_numbers(rows, work.layer.cache.size));
    work.kernels.score(work.layer, work.pass, item, one.piece, scratch, sums);
  }
  for (int64_t i = 0; i < one.tokens; ++i) {
    one.out[i] = static_cast<double>(sums[i]) / static_cast<double>(kScoreUnit);
  }
}

}  // namespace

int64_t scored_tokens(const AttentionPass& pass) {
  int64_t tokens = 0;
  for (int64_t s = 0; s < pass.sequences; ++s) tokens += length_of(pass, s);
  return tokens;
}

void add_up_scores(const AttentionKernels& kernels, const AttentionLayer& layer,
                   const AttentionPass& pass, Pool& pool) {
  std::vector<AttentionItem> items;
  std::vector<ScoredPiece> pieces;
  double* out = pass.scores;
  for (int64_t s = 0; s < pass.sequences; ++s) {
    add_items(layer, pass, s, &items);
    const int64_t length = length_of(pass, s);
    for (int64_t begin = 0; begin < length; begin += kPiece) {
      pieces.push_back({s, begin / kPiece, std::min(kPiece, length - begin), out + begin});
    }
    out += length;
  }
  Work work = {kernels, layer, pass, items, pieces};
  pool.run(score_part, pieces.size(), &work);
}

}  // namespace nanoaccel
