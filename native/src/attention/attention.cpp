#include "attention/attention.h"

#include <algorithm>
#include <vector>

#include "attention/items.h"
#include "attention/scores.h"

namespace nanoaccel {
namespace {

constexpr int64_t kSerialNumbers = 16384;    // keys and values that are written without threads
constexpr int64_t kSerialProducts = 100000;  // fewer are done faster than threads are woken

// What the calling thread plans a pass in; it grows, and never shrinks.
struct Plan {
  std::vector<AttentionItem> items;   // that are attended
  std::vector<AttentionItem> joined;  // whose records are absorbed behind that
  std::vector<float> records;
  std::vector<float> softmax;
};

struct Work {
  const AttentionKernels& kernels;
  const AttentionLayer& layer;
  const AttentionPass& pass;
  const std::vector<AttentionItem>* items;
  int64_t write_parts;
  bool items_write;  // whether an item writes what is new of its head
};

int64_t pieces_of(const AttentionItem& item) { return item.last_piece - item.first_piece; }

// Cuts items with more pieces than others have, so that all threads have something to do.
void cut_long_items(const AttentionLayer& layer, int64_t parts, Plan* plan) {
  int64_t total = 0;
  for (const AttentionItem& item : plan->items) total += pieces_of(item);
  const int64_t most = (total + parts - 1) / parts;
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
  if (work.items_write) {
    const int64_t count = new_tokens(work.pass, item.sequence);
    work.kernels.write(work.layer, work.pass, item.sequence, item.head, 0, count);
  }
  work.kernels.attend(work.layer, work.pass, item, scratch_of(work, item));
}

void absorb_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const AttentionItem& item = (*work.items)[index];
  work.kernels.absorb(work.layer, work.pass, item, scratch_of(work, item));
}

// Where a part of a sequence's new tokens begins: no pair of values is written by two threads.
int64_t part_begin(const Work& work, int64_t sequence, int64_t part) {
  const int64_t count = new_tokens(work.pass, sequence);
  if (part == 0 || part == work.write_parts) return part == 0 ? 0 : count;
  const int64_t past = work.pass.pasts[sequence];
  return std::max<int64_t>(0, (past + count * part / work.write_parts) / 2 * 2 - past);
}

// A part of the tokens of each sequence.
void write_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const auto part = static_cast<int64_t>(index);
  for (int64_t s = 0; s < work.pass.sequences; ++s) {
    const int64_t first = part_begin(work, s, part);
    const int64_t last = part_begin(work, s, part + 1);
    for (int64_t head = 0; head < work.layer.cache.heads; ++head) {
      work.kernels.write(work.layer, work.pass, s, head, first, last);
    }
  }
}

int64_t products_of(const AttentionLayer& layer, const std::vector<AttentionItem>& items) {
  int64_t products = 0;
  for (const AttentionItem& item : items) {
    products += rows_of(layer, item) * pieces_of(item) * kPiece * layer.cache.size;
  }
  return products;
}

void write_all(Work* work, Pool& pool, int64_t parts) {
  const int64_t tokens = work->pass.begins[work->pass.sequences];
  if (tokens * work->layer.cache.heads * work->layer.cache.size <= kSerialNumbers) {
    return write_part(work, 0);
  }
  work->write_parts = parts;
  pool.run(write_part, static_cast<size_t>(parts), work);
}

// Whether each has all that is new of its head.
bool are_undivided(const AttentionPass& pass, const std::vector<AttentionItem>& items) {
  return std::all_of(items.begin(), items.end(), [&](const AttentionItem& item) {
    return item.first_token == 0 && item.last_token == new_tokens(pass, item.sequence);
  });
}

// Writes keys and values, and attends. Where an item has all that is new of its head, no other one
// reads it, and it is written by the thread that reads it next.
void attend_all(const AttentionKernels& kernels, const AttentionLayer& layer,
                const AttentionPass& pass, Pool& pool, int64_t parts, Plan* plan) {
  const bool undivided = are_undivided(pass, plan->items);
  const bool alone = products_of(layer, plan->items) <= kSerialProducts;
  if (!alone) cut_long_items(layer, parts, plan);
  Work work = {kernels, layer, pass, &plan->items, 1, undivided && plan->joined.empty()};
  if (!work.items_write) write_all(&work, pool, parts);
  if (alone) {
    for (size_t i = 0; i < plan->items.size(); ++i) attend_part(&work, i);
    return;
  }
  for (size_t i = 1; i < plan->items.size(); ++i) plan->items[i - 1].next = &plan->items[i];
  pool.run(attend_part, plan->items.size(), &work);
  if (plan->joined.empty()) return;
  work.items = &plan->joined;
  pool.run(absorb_part, plan->joined.size(), &work);
}

}  // namespace

void run_attention(const AttentionKernels& kernels, const AttentionLayer& layer,
                   const AttentionPass& pass, Pool& pool, int64_t parts) {
  static thread_local Plan plan;
  plan.items.clear();
  plan.joined.clear();
  for (int64_t s = 0; s < pass.sequences; ++s) add_items(layer, pass, s, &plan.items);
  if (pass.scores == nullptr) return attend_all(kernels, layer, pass, pool, parts, &plan);
  AttentionPass scored = pass;
  const int64_t rows = pass.begins[pass.sequences] * layer.group * layer.cache.heads;
  plan.softmax.resize(static_cast<size_t>(2 * rows));
  scored.softmax = plan.softmax.data();
  attend_all(kernels, layer, scored, pool, parts, &plan);
  add_up_scores(kernels, layer, scored, pool);
}

}  // namespace nanoaccel
