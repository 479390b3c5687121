// Random sequences with states: what a pass reads and leaves, and what one long pass would.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "choices.h"
#include "isa/path.h"
#include "parallel/serial_pool.h"
#include "require.h"
#include "states/steps.h"
#include "thread_pool.h"

namespace nanoaccel::test {

// Texts that are computed in two passes; the second one goes on from what the first one left.
struct Text {
  int64_t past, fresh;
  int32_t interval, offset;

  int64_t length() const { return past + fresh; }
};

inline std::vector<Text> choose_texts(Choices& choose, int64_t longest) {
  std::vector<Text> texts(static_cast<size_t>(choose.between(1, 4)));
  for (Text& text : texts) {
    text.past = choose.one_in(3) ? 0 : choose.between(1, longest);
    text.fresh = choose.one_in(3) ? choose.between(0, longest) : 1;
    text.interval = static_cast<int32_t>(choose.between(1, choose.one_in(2) ? 4 : longest));
    text.offset = static_cast<int32_t>(choose.between(0, text.interval - 1));
  }
  return texts;
}

// The tables of a pass, of exactly their sizes, and where each of its states is.
struct Steps {
  std::vector<int32_t> begins{0}, slots, slot_begins{0}, intervals, offsets;
  int64_t rows = 1;  // of the table that are used; the first one is of no tokens

  // The pass over all first tokens of some texts, or over those behind, which read ``before``.
  Steps(const std::vector<Text>& texts, const Steps* before) {
    if (before != nullptr) rows = before->rows;
    for (size_t s = 0; s < texts.size(); ++s) {
      const Text& text = texts[s];
      const int64_t count = before == nullptr ? text.past : text.fresh;
      const bool goes_on = before != nullptr && text.past > 0;
      slots.push_back(goes_on ? before->last_of(s) : 0);
      begins.push_back(begins.back() + static_cast<int32_t>(count));
      const int64_t ends = (text.offset + count + text.interval - 1) / text.interval;
      for (int64_t i = 0; i < (count > 0 ? ends : 0); ++i) {
        slots.push_back(static_cast<int32_t>(rows++));
      }
      slot_begins.push_back(static_cast<int32_t>(slots.size()));
      intervals.push_back(text.interval);
      offsets.push_back(text.offset);
    }
    for (std::vector<int32_t>* some : all()) some->shrink_to_fit();
  }

  int32_t last_of(size_t sequence) const {
    return slots[static_cast<size_t>(slot_begins[sequence + 1]) - 1];
  }
  std::vector<std::vector<int32_t>*> all() {
    return {&begins, &slots, &slot_begins, &intervals, &offsets};
  }
  StateSteps view(float* table, int64_t row) const {
    return {table,
            row,
            begins.data(),
            slots.data(),
            slot_begins.data(),
            intervals.data(),
            offsets.data(),
            static_cast<int64_t>(intervals.size())};
  }
  StateSizes sizes(int64_t table_rows, int64_t numbers) const {
    return {begins.back(), static_cast<int64_t>(slots.size()), table_rows, numbers};
  }
  // Tables that may lead out of their bounds.
  void spoil(Choices& choose) {
    std::vector<int32_t>& table = *all()[static_cast<size_t>(choose.between(0, 4))];
    int32_t& entry = table[choose.random() % table.size()];
    entry = static_cast<int32_t>(choose.one_in(2) ? choose.odd() : entry + choose.between(-2, 2));
  }
};

// Rows of a pass out of those of all tokens of all texts.
inline std::vector<float> rows_of_pass(const std::vector<Text>& texts, bool second,
                                       const std::vector<float>& all, int64_t width) {
  std::vector<float> rows;
  int64_t first = 0;
  for (const Text& text : texts) {
    const int64_t begin = first + (second ? text.past : 0);
    const int64_t end = begin + (second ? text.fresh : text.past);
    rows.insert(rows.end(), all.begin() + begin * width, all.begin() + end * width);
    first += text.length();
  }
  rows.shrink_to_fit();
  return rows;
}

inline int64_t tokens_of(const std::vector<Text>& texts) {
  int64_t tokens = 0;
  for (const Text& text : texts) tokens += text.length();
  return tokens;
}

// Both passes over some texts, on every path: outputs and states have the bits of the reference.
//
// ``run`` computes a pass: (path, steps, whether it is the second, table, pool, y) to what is wrong
// with it, or nothing. Gives the outputs of the second pass; none where its tables were spoiled.
template <class Run>
std::vector<float> require_same_on_paths(Choices& choose, const std::string& name,
                                         const std::vector<Text>& texts, int64_t row,
                                         const Run& run) {
  const Steps first(texts, nullptr);
  Steps second(texts, &first);
  const int64_t rows = second.rows;
  const bool spoils = choose.one_in(6);
  if (spoils) second.spoil(choose);
  SerialPool serial;
  ThreadPool threads;
  std::vector<float> wanted, wanted_table;
  const std::vector<const Path*>& paths = runnable_paths();
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {  // the reference first
    std::vector<float> table(static_cast<size_t>(rows * row), -1.0F);
    std::fill(table.begin(), table.begin() + row, 0.0F);
    std::vector<float> y;
    for (const bool is_second : {false, true}) {
      const Steps& steps = is_second ? second : first;
      Pool& pool = choose.one_in(8) && !spoils ? static_cast<Pool&>(threads) : serial;
      const std::string problem = run(**path, steps, is_second, &table, pool, &y);
      if (is_second && spoils) return {};
      require(problem.empty(), name + ": refused: " + problem);
    }
    if (path == paths.rbegin()) {
      wanted = y;
      wanted_table = table;
    }
    require_same(y, wanted, name + ": " + (*path)->name);
    require_same(table, wanted_table, name + ": states of " + (*path)->name);
  }
  return wanted;
}

}  // namespace nanoaccel::test
