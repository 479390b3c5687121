#include "attention/items.h"

#include <algorithm>

namespace nanoaccel {
namespace {

constexpr int64_t kQueryRows = 8;  // that a tile of keys is read for

// Tokens of an item: as many as fill rows that are computed together.
int64_t tokens_of_item(const AttentionLayer& layer) {
  const int64_t most = std::max<int64_t>(1, kMostRows / layer.group);
  for (int64_t tokens = most; tokens > 1; --tokens) {
    if (tokens * layer.group % kQueryRows == 0) return tokens;
  }
  return most;
}

}  // namespace

void add_items(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
               std::vector<AttentionItem>* items) {
  const int64_t tokens = tokens_of_item(layer);
  const int64_t past = pass.pasts[sequence];
  for (int64_t end = new_tokens(pass, sequence); end > 0;) {
    const int64_t begin = (end - 1) / tokens * tokens;
    const int64_t first =
        layer.window > 0 ? std::max<int64_t>(0, past + begin + 1 - layer.window) : 0;
    for (int64_t head = 0; head < layer.cache.heads; ++head) {
      items->push_back({sequence, head, begin, end, first / kPiece, (past + end - 1) / kPiece + 1,
                        nullptr, nullptr});
    }
    end = begin;
  }
}

float* thread_scratch(int64_t numbers) {
  static thread_local std::vector<float> memory;
  if (memory.size() < static_cast<size_t>(numbers)) memory.resize(static_cast<size_t>(numbers));
  return memory.data();
}

}  // namespace nanoaccel
