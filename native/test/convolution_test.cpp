// Causal convolutions: bits of all paths, of outputs and states, values in double precision, and
// tables of states that lead out of their bounds.

#include "convolution/convolution.h"

#include "steps_case.h"
#include "targets.h"

namespace nanoaccel::test {
namespace {

struct Case {
  ConvolutionLayer layer;
  std::vector<Text> texts;
  std::vector<float> weight, bias, x;  // of all tokens of all texts
  int64_t offset, row;                 // of the layer in a state; numbers of a state
};

Case choose_case(Choices& choose) {
  Case c = {};
  c.layer.channels = choose.between(1, choose.one_in(4) ? 200 : 40);
  c.layer.taps = choose.between(2, choose.one_in(4) ? 9 : 4);
  c.layer.silu = choose.one_in(2);
  c.texts = choose_texts(choose, choose.one_in(6) ? 90 : 12);
  c.weight = choose.reals(c.layer.taps * c.layer.channels, 1.0F);
  if (choose.one_in(2)) c.bias = choose.reals(c.layer.channels, 1.0F);
  c.x = choose.reals(tokens_of(c.texts) * c.layer.channels, 1.0F);
  c.offset = choose.between(0, 9);
  c.row = c.offset + state_numbers(c.layer) + choose.between(0, 9);
  return c;
}

// A pass over some rows. Empty, or what is wrong with it; then nothing was computed.
std::string run(const Path& path, const Case& c, const Steps& steps, const std::vector<float>& x,
                std::vector<float>* table, Pool& pool, int64_t parts, std::vector<float>* y) {
  ConvolutionLayer layer = c.layer;
  layer.weight = c.weight.data();
  layer.bias = c.bias.empty() ? nullptr : c.bias.data();
  const auto rows = static_cast<int64_t>(table->size()) / c.row;
  const StateSteps states = steps.view(table->data() + c.offset, c.row);
  const auto tokens = static_cast<int64_t>(x.size()) / c.layer.channels;
  StateSizes sizes = steps.sizes(rows, c.row - c.offset);
  sizes.tokens = tokens;
  std::string problem = layer_problem(layer);
  if (problem.empty()) problem = steps_problem(states, sizes, state_numbers(layer));
  if (!problem.empty()) return problem;
  y->assign(x.size(), -1.0F);
  run_convolution(path.convolution, layer, {states, x.data(), y->data()}, pool, parts);
  return "";
}

void require_values(const Case& c, const std::vector<float>& y) {
  const int64_t channels = c.layer.channels;
  int64_t first = 0;
  size_t next = 0;
  for (const Text& text : c.texts) {
    for (int64_t t = text.past; t < text.length(); ++t) {
      for (int64_t i = 0; i < channels; ++i) {
        double sum = c.bias.empty() ? 0.0 : c.bias[i];
        for (int64_t j = 0; j < c.layer.taps; ++j) {
          const int64_t at = t - c.layer.taps + 1 + j;
          if (at < 0) continue;
          sum += double{c.weight[j * channels + i]} * c.x[(first + at) * channels + i];
        }
        if (c.layer.silu) sum /= 1 + std::exp(-sum);
        require_close(y[next++], sum, 1e-5, "convolution: a value");
      }
    }
    first += text.length();
  }
}

}  // namespace

void test_convolution(Choices& choose) {
  const Case c = choose_case(choose);
  const auto pass = [&](const Path& path, const Steps& steps, bool is_second,
                        std::vector<float>* table, Pool& pool, std::vector<float>* y) {
    const std::vector<float> x = rows_of_pass(c.texts, is_second, c.x, c.layer.channels);
    return run(path, c, steps, x, table, pool, choose.between(1, 9), y);
  };
  const std::vector<float> y = require_same_on_paths(choose, "convolution", c.texts, c.row, pass);
  if (!y.empty()) require_values(c, y);
}

}  // namespace nanoaccel::test
