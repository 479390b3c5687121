// Which recurrent states the sequences of a pass read, and which they leave.
//
// A state is what layers keep of a text at one size for any length. States stand in the rows of a
// table. A sequence reads one row and writes others: behind its token t where offset + 1 + t is a
// multiple of interval, and behind its last token. Nothing is written over what is read, so a pass
// can be run again, and what is refused of it is forgotten by going on from another row.
#pragma once

#include <cstdint>
#include <string>

namespace nanoaccel {

// The states of one layer.
struct StateSteps {
  float* table;           // the layer's numbers of row 0
  int64_t row;            // numbers from a row to the next, other layers included
  const int32_t* begins;  // sequence s has tokens begins[s] to begins[s + 1]
  const int32_t* slots;  // of sequence s, from slot_begins[s] on: the row it reads, those it writes
  const int32_t* slot_begins;
  const int32_t* intervals;
  const int32_t* offsets;
  int64_t sequences;
};

// How much there is of what the steps point to.
struct StateSizes {
  int64_t tokens;
  int64_t slots;
  int64_t rows;     // of the table
  int64_t numbers;  // of a row, from the layer's first on
};

// Empty when all reads and writes of a layer of so many numbers are within bounds, else what is
// wrong.
std::string steps_problem(const StateSteps& steps, const StateSizes& sizes, int64_t numbers);

// Each unit has these for itself: it is compiled for its own instructions.
namespace {

inline int64_t tokens_of(const StateSteps& steps, int64_t sequence) {
  return int64_t{steps.begins[sequence + 1]} - steps.begins[sequence];
}

inline const float* read_state(const StateSteps& steps, int64_t sequence) {
  return steps.table + steps.slots[steps.slot_begins[sequence]] * steps.row;
}

// Where the state behind a token of a sequence is kept; nullptr where it is not.
inline float* kept_state(const StateSteps& steps, int64_t sequence, int64_t token) {
  const int64_t behind = int64_t{steps.offsets[sequence]} + token + 1;
  const int64_t interval = steps.intervals[sequence];
  const bool last = token + 1 == tokens_of(steps, sequence);
  if (!last && behind % interval != 0) return nullptr;
  const int64_t index = (behind + interval - 1) / interval;
  return steps.table + steps.slots[steps.slot_begins[sequence] + index] * steps.row;
}

}  // namespace
}  // namespace nanoaccel
