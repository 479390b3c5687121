#include "convolution/convolution.h"

#include <algorithm>

namespace nanoaccel {
namespace {

constexpr int64_t kMostChannels = 1 << 20;
constexpr int64_t kSerialProducts = 200000;  // fewer are done faster than threads are woken

struct Work {
  const ConvolutionKernels& kernels;
  const ConvolutionLayer& layer;
  const ConvolutionPass& pass;
  int64_t parts;
};

// A part of all tokens.
void convolve_part(void* memory, size_t index) {
  const Work& work = *static_cast<Work*>(memory);
  const StateSteps& states = work.pass.states;
  const int64_t tokens = states.begins[states.sequences];
  const auto part = static_cast<int64_t>(index);
  const int64_t begin = tokens * part / work.parts;
  const int64_t end = tokens * (part + 1) / work.parts;
  for (int64_t s = 0; s < states.sequences; ++s) {
    const int64_t first = std::max<int64_t>(begin - states.begins[s], 0);
    const int64_t last = std::min(end, int64_t{states.begins[s + 1]}) - states.begins[s];
    if (first < last) work.kernels.convolve(work.layer, work.pass, s, first, last);
  }
}

}  // namespace

int64_t state_numbers(const ConvolutionLayer& layer) { return (layer.taps - 1) * layer.channels; }

std::string layer_problem(const ConvolutionLayer& layer) {
  if (layer.channels < 1 || layer.channels > kMostChannels) return "it has no channels";
  if (layer.taps < 2 || layer.taps > kMostTaps) return "a convolution is not over 2 to 64 tokens";
  return "";
}

void run_convolution(const ConvolutionKernels& kernels, const ConvolutionLayer& layer,
                     const ConvolutionPass& pass, Pool& pool, int64_t parts) {
  const int64_t tokens = pass.states.begins[pass.states.sequences];
  Work work = {kernels, layer, pass, parts};
  if (parts <= 1 || tokens * layer.channels * layer.taps <= kSerialProducts) {
    work.parts = 1;
    return convolve_part(&work, 0);
  }
  pool.run(convolve_part, static_cast<size_t>(parts), &work);
}

}  // namespace nanoaccel
