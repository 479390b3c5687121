#include "experts/expert_weights.h"

#include <cstring>

namespace nanoaccel {
namespace {

constexpr int64_t kMostExperts = 4096;
constexpr int64_t kMostSize = int64_t{1} << 24;

bool has_groups(const ExpertsSource&, const LinearSource*) { return true; }
bool has_groups(const ExpertsSource& s, const FloatSource*) {
  return s.stored >= Stored::kIntegers;
}

std::string shape_problem(const ExpertsSource& s, bool groups) {
  if (s.experts < 1 || s.experts > kMostExperts) return "the number of experts is out of range";
  if (s.hidden < 1 || s.hidden > kMostSize) return "the hidden size is out of range";
  if (s.inner < 1 || s.inner > kMostSize) return "the inner size is out of range";
  if (groups && (s.group < 1 || s.hidden % s.group != 0 || s.inner % s.group != 0)) {
    return "block_size does not divide the hidden and the inner size";
  }
  return "";
}

// The numbers of one expert; false when they are not one part of as many as there are experts.
template <class T>
bool part_of(const Numbers<T>& all, int64_t index, int64_t experts, Numbers<T>* part) {
  if (all.data == nullptr) return true;
  if (all.size % experts != 0) return false;
  part->size = all.size / experts;
  part->data = all.data + index * part->size;
  return true;
}

Numbers<uint8_t>* bytes_of(LinearSource* one) { return &one->codes; }
Numbers<uint8_t>* bytes_of(FloatSource* one) { return &one->values; }

template <class Source>
bool expert_of(const ProjectionSource& all, int64_t index, int64_t experts, Source* one) {
  if (all.factors.data != nullptr) {
    if (all.factors.size != experts) return false;
    one->factor = all.factors.data[index];
  }
  return part_of(all.codes, index, experts, bytes_of(one)) &&
         part_of(all.scales, index, experts, &one->scales) &&
         part_of(all.half_scales, index, experts, &one->half_scales) &&
         part_of(all.exponents, index, experts, &one->exponents) &&
         part_of(all.zeros, index, experts, &one->zeros) &&
         part_of(all.bias, index, experts, &one->bias);
}

// Rows 0, 2, 4, ... and then 1, 3, 5, ... of some numbers, in memory of its own. What does not
// divide into rows is left as it is, and refused when it is packed.
template <class T>
class Apart {
 public:
  void move(Numbers<T>* numbers, int64_t rows) {
    if (numbers->data == nullptr || numbers->size % rows != 0) return;
    const int64_t width = numbers->size / rows;
    memory_.resize(static_cast<size_t>(numbers->size));
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t place = row / 2 + (row % 2 == 0 ? 0 : rows / 2);
      std::memcpy(memory_.data() + place * width, numbers->data + row * width,
                  static_cast<size_t>(width) * sizeof(T));
    }
    numbers->data = memory_.data();
  }

 private:
  std::vector<T> memory_;
};

struct GateUpApart {
  Apart<uint8_t> codes;
  Apart<float> scales;
  Apart<uint16_t> half_scales;
  Apart<uint8_t> exponents;
  Apart<uint8_t> zeros;
  Apart<float> bias;

  template <class Source>
  void move(Source* source) {
    codes.move(bytes_of(source), source->outputs);
    scales.move(&source->scales, source->outputs);
    half_scales.move(&source->half_scales, source->outputs);
    exponents.move(&source->exponents, source->outputs);
    zeros.move(&source->zeros, source->outputs);
    bias.move(&source->bias, source->outputs);
  }
};

void tell_stored(const ExpertsSource&, LinearSource*) {}
void tell_stored(const ExpertsSource& source, FloatSource* one) {
  one->stored = source.stored;
  one->rows = true;
}

}  // namespace

template <class Packed, class Source>
std::string ExpertWeightsOf<Packed, Source>::pack(const ExpertsSource& source) {
  std::string problem = shape_problem(source, has_groups(source, static_cast<Source*>(nullptr)));
  if (!problem.empty()) return problem;
  gate_up_.resize(static_cast<size_t>(source.experts));
  down_.resize(static_cast<size_t>(source.experts));
  GateUpApart apart;
  for (int64_t e = 0; e < source.experts; ++e) {
    Source gate_up;
    Source down;
    tell_stored(source, &gate_up);
    tell_stored(source, &down);
    gate_up.bits = down.bits = source.bits;
    gate_up.group = down.group = source.group;
    gate_up.inputs = down.outputs = source.hidden;
    gate_up.outputs = source.gated ? 2 * source.inner : source.inner;
    down.inputs = source.inner;
    if (!expert_of(source.gate_up, e, source.experts, &gate_up) ||
        !expert_of(source.down, e, source.experts, &down)) {
      return "tensors do not divide into experts";
    }
    if (source.gated) apart.move(&gate_up);
    problem = gate_up_[static_cast<size_t>(e)].pack(gate_up);
    if (!problem.empty()) return "gate_up: " + problem;
    problem = down_[static_cast<size_t>(e)].pack(down);
    if (!problem.empty()) return "down: " + problem;
  }
  return "";
}

template class ExpertWeightsOf<PackedWeights, LinearSource>;
template class ExpertWeightsOf<FloatWeights, FloatSource>;

}  // namespace nanoaccel
