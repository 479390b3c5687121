#include "attention/attention.h"

#include <algorithm>
#include <vector>

namespace nanoaccel {
namespace {

constexpr int64_t kSerialNumbers = 16384;    // keys and values that are written without threads
constexpr int64_t kSerialProducts = 400000;  // fewer are done faster than threads are woken
constexpr int64_t kLeastPieces = 2;          // that are cut off an item
constexpr int64_t kQueryRows = 8;            // that a tile of keys is read for

// Memory of a thread; it grows, and never shrinks.
float* thread_scratch(int64_t numbers) {
  static thread_local std::vector<float> memory;
  if (memory.size() < static_cast<size_t>(numbers)) memory.resize(static_cast<size_t>(numbers));
  return memory.data();
}

// What the calling thread plans a pass in; likewise.
struct Plan {
  std::vector<AttentionItem> items;   // that are attended
  std::vector<AttentionItem> joined;  // whose records are absorbed behind that
  std::vector<float> records;
};

struct Work {
  const AttentionKernels& kernels;
  const AttentionLayer& layer;
  const AttentionPass& pass;
  const std::vector<AttentionItem>* items;
  int64_t write_parts;
};

// New tokens of a sequence.
int64_t tokens_of(const AttentionPass& pass, int64_t sequence) {
  return pass.begins[sequence + 1] - pass.begins[sequence];
}

// Tokens of an item: as many as fill rows that are computed together.
int64_t tile_tokens(const AttentionLayer& layer) {
  const int64_t most = std::max<int64_t>(1, kMostRows / layer.group);
  for (int64_t tokens = most; tokens > 1; --tokens) {
    if (tokens * layer.group % kQueryRows == 0) return tokens;
  }
  return most;
}

void add_tiles(const AttentionLayer& layer, const AttentionPass& pass, int64_t sequence,
               std::vector<AttentionItem>* items) {
  const int64_t tile = tile_tokens(layer);
  const int64_t past = pass.pasts[sequence];
  for (int64_t end = tokens_of(pass, sequence); end > 0;) {  // the longest first
    const int64_t begin = (end - 1) / tile * tile;
    const int64_t first =
        layer.window > 0 ? std::max<int64_t>(0, past + begin + 1 - layer.window) : 0;
    for (int64_t head = 0; head < layer.cache.heads; ++head) {
      items->push_back(
          {sequence, head, begin, end, first / kPiece, (past + end - 1) / kPiece + 1, nullptr});
    }
    end = begin;
  }
}

int64_t pieces_of(const AttentionItem& item) { return item.last_piece - item.first_piece; }

// Cuts items with more pieces than others have, so that all threads have something to do.
void cut_long_items(const AttentionLayer& layer, int64_t parts, Plan* plan) {
  int64_t total = 0;
  for (const AttentionItem& item : plan->items) total += pieces_of(item);
  const int64_t most = std::max(kLeastPieces, (total + parts - 1) / parts);
  std::vector<AttentionItem> whole;
  whole.swap(plan->items);
  int64_t numbers = 0;
  for (const AttentionItem& item : whole) {
    if (pieces_of(item) <= most) {
      plan->items.push_back(item);
      continue;
    }
    plan->joined.push_back(item);
    numbers += pieces_of(item) * record_numbers(rows_of(layer, item), layer.cache.size);
  }
  if (plan->records.size() < static_cast<size_t>(numbers)) {
    plan->records.resize(static_cast<size_t>(numbers));
  }
  float* next = plan->records.data();
  for (AttentionItem& item : plan->joined) {
    const int64_t record = record_numbers(rows_of(layer, item), layer.cache.size);
    item.records = next;
    for (int64_t piece = item.first_piece; piece < item.last_piece; piece += most) {
      AttentionItem part = item;
      part.first_piece = piece;
      part.last_piece = std::min(piece + most, item.last_piece);
      part.records = next + (piece - item.first_piece) * record;
      plan->items.push_back(part);
    }
    next += pieces_of(item) * record;
  }
}

float* scratch_of(const Work& work, const AttentionItem& item) {
  return thread_scratch(scratch_numbers(rows_of(work.layer, item), work.layer.cache.size));
}

void attend_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const AttentionItem& item = (*work.items)[index];
  work.kernels.attend(work.layer, work.pass, item, scratch_of(work, item));
}

void absorb_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const AttentionItem& item = (*work.items)[index];
  work.kernels.absorb(work.layer, work.pass, item, scratch_of(work, item));
}

// A part of the tokens of each sequence.
void write_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const auto part = static_cast<int64_t>(index);
  for (int64_t s = 0; s < work.pass.sequences; ++s) {
    const int64_t count = tokens_of(work.pass, s);
    work.kernels.write(work.layer, work.pass, s, count * part / work.write_parts,
                       count * (part + 1) / work.write_parts);
  }
}

int64_t products_of(const AttentionLayer& layer, const std::vector<AttentionItem>& items) {
  int64_t products = 0;
  for (const AttentionItem& item : items) {
    products += rows_of(layer, item) * pieces_of(item) * kPiece * layer.cache.size;
  }
  return products;
}

}  // namespace

void run_attention(const AttentionKernels& kernels, const AttentionLayer& layer,
                   const AttentionPass& pass, Pool& pool, int64_t parts) {
  static thread_local Plan plan;
  plan.items.clear();
  plan.joined.clear();
  for (int64_t s = 0; s < pass.sequences; ++s) add_tiles(layer, pass, s, &plan.items);

  Work work = {kernels, layer, pass, &plan.items, 1};
  const int64_t tokens = pass.begins[pass.sequences];
  if (tokens * layer.cache.heads * layer.cache.size > kSerialNumbers) work.write_parts = parts;
  if (work.write_parts > 1) {
    pool.run(write_part, static_cast<size_t>(parts), &work);
  } else {
    write_part(&work, 0);
  }
  if (products_of(layer, plan.items) <= kSerialProducts) {
    for (size_t i = 0; i < plan.items.size(); ++i) attend_part(&work, i);
    return;
  }
  cut_long_items(layer, parts, &plan);
  pool.run(attend_part, plan.items.size(), &work);
  if (plan.joined.empty()) return;
  work.items = &plan.joined;
  pool.run(absorb_part, plan.joined.size(), &work);
}

}  // namespace nanoaccel
