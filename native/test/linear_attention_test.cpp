// Linear attention: bits of all paths, of outputs and states, values in double precision, and
// tables of states that lead out of their bounds.

#include "linear_attention/linear_attention.h"

#include "steps_case.h"
#include "targets.h"

namespace nanoaccel::test {
namespace {

struct Case {
  LinearAttentionLayer layer;
  std::vector<Text> texts;
  std::vector<float> bias, decay;
  std::vector<float> queries, keys, values, raw, betas;  // of all tokens of all texts
  int64_t offset, row;  // of the layer in a state; numbers of a state

  int64_t key_width() const { return layer.key_heads * layer.key_size; }
  int64_t width() const { return layer.heads * layer.value_size; }
};

Case choose_case(Choices& choose) {
  Case c = {};
  LinearAttentionLayer& layer = c.layer;
  layer.key_heads = choose.between(1, 3);
  layer.heads = layer.key_heads * choose.between(1, 3);
  layer.key_size = choose.between(1, choose.one_in(4) ? 130 : 20);
  layer.value_size = choose.between(1, choose.one_in(4) ? 130 : 40);
  layer.delta = choose.one_in(2);
  if (choose.one_in(3)) layer.gates = layer.delta ? Gates::kKey : Gates::kValue;
  layer.unit = layer.delta || choose.one_in(4);  // keys of another length may grow a state
  layer.scale = 0.5F;
  layer.epsilon = 1e-6F;
  layer.least = choose.one_in(3) ? 0.1F : 0.0F;
  layer.most = choose.one_in(3) ? 2.0F : INFINITY;
  c.texts = choose_texts(choose, choose.one_in(6) ? 60 : 8);
  const int64_t steps = step_count(layer);
  c.bias = choose.reals(steps, 3.0F);
  const bool cells = layer.gates == Gates::kValue;
  c.decay = choose.reals(cells ? steps * layer.key_size : layer.heads, 1.0F);
  for (float& one : c.decay) one = -std::fabs(one) - 0.01F;
  const int64_t tokens = tokens_of(c.texts);
  c.queries = choose.reals(tokens * c.key_width(), 1.0F);
  c.keys = choose.reals(tokens * c.key_width(), 1.0F);
  c.values = choose.reals(tokens * c.width(), 1.0F);
  c.raw = choose.reals(tokens * steps, 3.0F);
  c.betas = choose.reals(tokens * layer.heads, 1.0F);
  for (float& one : c.betas) one = std::fabs(one);
  c.offset = choose.between(0, 9);
  c.row = c.offset + state_numbers(layer) + choose.between(0, 9);
  return c;
}

// The pass over all first tokens of the texts, or over those behind.
struct Rows {
  std::vector<float> queries, keys, values, raw, betas;

  Rows(const Case& c, bool second)
      : queries(rows_of_pass(c.texts, second, c.queries, c.key_width())),
        keys(rows_of_pass(c.texts, second, c.keys, c.key_width())),
        values(rows_of_pass(c.texts, second, c.values, c.width())),
        raw(rows_of_pass(c.texts, second, c.raw, step_count(c.layer))),
        betas(rows_of_pass(c.texts, second, c.betas, c.layer.heads)) {}
};

// Empty, or what is wrong with a pass; then nothing was computed.
std::string run(const Path& path, const Case& c, const Steps& steps, const Rows& rows,
                std::vector<float>* table, Pool& pool, std::vector<float>* y) {
  LinearAttentionLayer layer = c.layer;
  layer.bias = c.bias.data();
  layer.decay = c.decay.data();
  LinearAttentionPass pass = {};
  pass.states = steps.view(table->data() + c.offset, c.row);
  StateSizes sizes = steps.sizes(static_cast<int64_t>(table->size()) / c.row, c.row - c.offset);
  sizes.tokens = static_cast<int64_t>(rows.values.size()) / c.width();
  std::string problem = layer_problem(layer);
  if (problem.empty()) problem = steps_problem(pass.states, sizes, state_numbers(layer));
  if (!problem.empty()) return problem;
  y->assign(rows.values.size(), -1.0F);
  pass.queries = rows.queries.data();
  pass.keys = rows.keys.data();
  pass.values = rows.values.data();
  pass.raw = rows.raw.data();
  pass.betas = rows.betas.data();
  pass.y = y->data();
  run_linear_attention(path.linear_attention, layer, pass, pool);
  return "";
}

std::vector<double> scaled(const Case& c, const float* x, double factor) {
  std::vector<double> out(x, x + c.layer.key_size);
  double squares = c.layer.epsilon;
  for (double one : out) squares += one * one;
  for (double& one : out) one *= c.layer.unit ? factor / std::sqrt(squares) : factor;
  return out;
}

// The step of a head of a token, or of one of its numbers.
double step_of(const Case& c, int64_t token, int64_t index) {
  const double raw = c.raw[token * step_count(c.layer) + index];
  const double step = std::log1p(std::exp(raw + c.bias[index]));
  return std::min<double>(std::max<double>(step, c.layer.least), c.layer.most);
}

// The step of a cell of a head of a token, and what is kept of it.
std::pair<double, double> gate_of(const Case& c, int64_t token, int64_t head, int64_t k,
                                  int64_t d) {
  const int64_t keys = c.layer.key_size, columns = c.layer.value_size;
  double step = 0.0;
  double decay = c.decay[head];
  switch (c.layer.gates) {
    case Gates::kHead:
      step = step_of(c, token, head);
      break;
    case Gates::kKey:
      step = step_of(c, token, head * keys + k);
      break;
    case Gates::kValue:
      step = step_of(c, token, head * columns + d);
      decay = c.decay[(head * keys + k) * columns + d];
      break;
  }
  return {step, std::exp(decay * step)};
}

// What a head of a text gives from its first token on, [token][value_size].
std::vector<double> attended(const Case& c, int64_t first, const Text& text, int64_t head) {
  const LinearAttentionLayer& layer = c.layer;
  const int64_t keys = layer.key_size, columns = layer.value_size;
  std::vector<double> state(static_cast<size_t>(keys * columns)), out;
  for (int64_t t = first; t < first + text.length(); ++t) {
    const int64_t key_head = t * layer.key_heads + head / (layer.heads / layer.key_heads);
    const std::vector<double> key = scaled(c, &c.keys[key_head * keys], 1.0);
    const std::vector<double> query = scaled(c, &c.queries[key_head * keys], layer.scale);
    const int64_t gate = t * layer.heads + head;
    for (int64_t d = 0; d < columns; ++d) {
      double recalled = 0.0, read = 0.0;
      for (int64_t k = 0; k < keys; ++k) {
        state[k * columns + d] *= gate_of(c, t, head, k, d).second;
        recalled += state[k * columns + d] * key[k];
      }
      double value = c.values[gate * columns + d];
      value = layer.delta ? (value - recalled) * c.betas[gate]
                          : value * gate_of(c, t, head, 0, d).first;
      for (int64_t k = 0; k < keys; ++k) {
        double& one = state[k * columns + d];
        one += key[k] * value;
        read += one * query[k];
      }
      out.push_back(read);
    }
  }
  return out;
}

void require_values(Choices& choose, const Case& c, const std::vector<float>& y) {
  const int64_t columns = c.layer.value_size;
  int64_t first = 0;
  int64_t row = 0;
  for (const Text& text : c.texts) {
    const int64_t head = choose.between(0, c.layer.heads - 1);
    const std::vector<double> wanted = attended(c, first, text, head);
    for (int64_t t = text.past; t < text.length(); ++t, ++row) {
      for (int64_t d = 0; d < columns; ++d) {
        const double one = wanted[t * columns + d];
        require_close(y[row * c.width() + head * columns + d], one, 1e-3 + 1e-4 * std::fabs(one),
                      "linear attention: a value");
      }
    }
    first += text.length();
  }
}

}  // namespace

void test_linear_attention(Choices& choose) {
  const Case c = choose_case(choose);
  const auto pass = [&](const Path& path, const Steps& steps, bool is_second,
                        std::vector<float>* table, Pool& pool, std::vector<float>* y) {
    return run(path, c, steps, Rows(c, is_second), table, pool, y);
  };
  const std::vector<float> y =
      require_same_on_paths(choose, "linear attention", c.texts, c.row, pass);
  if (!y.empty()) require_values(choose, c, y);
}

}  // namespace nanoaccel::test
