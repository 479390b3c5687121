// Paged attention: bits of all paths, of outputs, cache and scores, values in double precision, and
// passes that lead out of the cache.

#include "attention/attention.h"

#include <algorithm>
#include <numeric>

#include "attention/scores.h"
#include "isa/path.h"
#include "parallel/serial_pool.h"
#include "require.h"
#include "targets.h"
#include "thread_pool.h"

namespace nanoaccel::test {
namespace {

struct Sequence {
  int64_t past, fresh;
  std::vector<int32_t> blocks;

  int64_t length() const { return past + fresh; }
};

// Sequences whose past is written by a first pass, and their new tokens by a second one.
struct Case {
  AttentionLayer layer;
  std::vector<Sequence> sequences;
  std::vector<float> queries, keys, values;  // of all tokens of all sequences
  std::vector<float> cosines, sines, sinks, slopes, query_norm, key_norm;
  bool scored;  // whether tokens tell what attention they draw
  std::vector<uint8_t> cache;
  int64_t blocks, block_bytes, offset;

  int64_t key_width() const { return layer.cache.heads * layer.cache.size; }
  int64_t width() const { return layer.group * key_width(); }
};

AttentionLayer choose_layer(Choices& choose) {
  constexpr CacheType kTypes[] = {CacheType::kFloat, CacheType::kInt8, CacheType::kHalf,
                                  CacheType::kBfloat16, CacheType::kUint4};
  constexpr int64_t kBlocks[] = {16, 32, 64, 128};
  AttentionLayer layer = {};
  layer.cache.type = choose.one_of(kTypes);
  layer.cache.heads = choose.between(1, 3);
  layer.cache.size = 16 * choose.between(1, choose.one_in(8) ? 16 : 6);
  layer.cache.block = choose.one_of(kBlocks);
  layer.group = choose.between(1, choose.one_in(8) ? 40 : 5);
  layer.rotated = choose.one_in(3) ? 0 : 2 * choose.between(1, layer.cache.size / 2);
  layer.interleaved = choose.one_in(2);
  layer.scale = 0.25F;
  layer.epsilon = 1e-5F;
  layer.softcap = choose.one_in(3) ? 5.0F : 0.0F;
  layer.window = choose.one_in(3) ? choose.between(1, 200) : 0;
  return layer;
}

Case choose_case(Choices& choose) {
  Case c = {};
  c.layer = choose_layer(choose);
  const int64_t block = c.layer.cache.block;
  const int64_t longest = choose.one_in(6) ? 600 : 100;
  for (int64_t left = choose.between(1, 4); left > 0; --left) {
    Sequence sequence = {choose.one_in(3) ? 0 : choose.between(0, longest),
                         choose.one_in(3) ? choose.between(0, 70) : 1,
                         {}};
    sequence.blocks.resize(static_cast<size_t>((sequence.length() + block - 1) / block));
    c.blocks += static_cast<int64_t>(sequence.blocks.size());
    c.sequences.push_back(sequence);
  }
  c.blocks += choose.between(1, 3);  // some that no sequence has
  std::vector<int32_t> places(static_cast<size_t>(c.blocks));
  std::iota(places.begin(), places.end(), 0);
  for (size_t i = places.size() - 1; i > 0; --i) {
    std::swap(places[i], places[choose.random() % (i + 1)]);
  }
  int64_t tokens = 0;
  for (Sequence& sequence : c.sequences) {
    for (int32_t& id : sequence.blocks) {
      id = places.back();
      places.pop_back();
    }
    tokens += sequence.length();
  }
  c.queries = choose.reals(tokens * c.width(), 1.0F);
  c.keys = choose.reals(tokens * c.key_width(), 1.0F);
  c.values = choose.reals(tokens * c.key_width(), 1.0F);
  if (c.layer.rotated > 0) {
    c.cosines = choose.reals(700 * c.layer.rotated / 2, 1.0F);
    c.sines = choose.reals(700 * c.layer.rotated / 2, 1.0F);
  }
  if (choose.one_in(3)) c.sinks = choose.reals(c.layer.group * c.layer.cache.heads, 1.0F);
  if (choose.one_in(3)) c.slopes = choose.reals(c.layer.group * c.layer.cache.heads, 0.5F);
  c.scored = choose.one_in(3);
  if (choose.one_in(3)) {
    c.query_norm = choose.reals(c.layer.cache.size, 1.0F);
    c.key_norm = choose.reals(c.layer.cache.size, 1.0F);
  }
  c.offset = 4 * choose.between(0, 8);
  c.block_bytes =
      c.offset + c.layer.cache.heads * head_bytes(c.layer.cache) + 4 * choose.between(0, 8);
  c.cache = choose.bytes(c.blocks * c.block_bytes);  // what an earlier owner left
  return c;
}

// A pass and the memory that it points to, of exactly its sizes.
struct Pass {
  std::vector<float> queries, keys, values, output;
  std::vector<double> scores;
  std::vector<int64_t> positions;
  std::vector<int32_t> begins{0}, pasts, blocks, block_begins{0};

  Pass(const Case& c, bool second) {
    int64_t first = 0;  // of the sequence's tokens
    for (const Sequence& s : c.sequences) {
      const int64_t past = second ? s.past : 0;
      const int64_t count = second ? s.fresh : s.past;
      copy(c.queries, (first + past) * c.width(), count * c.width(), &queries);
      copy(c.keys, (first + past) * c.key_width(), count * c.key_width(), &keys);
      copy(c.values, (first + past) * c.key_width(), count * c.key_width(), &values);
      for (int64_t i = 0; i < count; ++i) positions.push_back(past + i);
      begins.push_back(begins.back() + static_cast<int32_t>(count));
      pasts.push_back(static_cast<int32_t>(past));
      blocks.insert(blocks.end(), s.blocks.begin(), s.blocks.end());
      block_begins.push_back(static_cast<int32_t>(blocks.size()));
      first += s.length();
    }
    output.assign(queries.size(), -1.0F);
    for (std::vector<float>* some : {&queries, &keys, &values, &output}) some->shrink_to_fit();
    for (std::vector<int32_t>* some : {&begins, &pasts, &blocks, &block_begins}) {
      some->shrink_to_fit();
    }
    positions.shrink_to_fit();
  }

  // Empty, or what is wrong with it; then nothing was computed.
  std::string run(const Path& path, const Case& c, uint8_t* cache, Pool& pool, int64_t parts) {
    AttentionPass pass = {{queries.data(), c.width()},
                          {keys.data(), c.key_width()},
                          {values.data(), c.key_width()},
                          c.query_norm.empty() ? nullptr : c.query_norm.data(),
                          c.key_norm.empty() ? nullptr : c.key_norm.data(),
                          output.data(),
                          nullptr,
                          nullptr,
                          positions.data(),
                          c.cosines.data(),
                          c.sines.data(),
                          c.sinks.empty() ? nullptr : c.sinks.data(),
                          c.slopes.empty() ? nullptr : c.slopes.data(),
                          begins.data(),
                          pasts.data(),
                          blocks.data(),
                          block_begins.data(),
                          static_cast<int64_t>(pasts.size()),
                          cache + c.offset,
                          c.block_bytes};
    const AttentionSizes sizes = {static_cast<int64_t>(positions.size()),
                                  static_cast<int64_t>(blocks.size()), c.blocks,
                                  c.block_bytes - c.offset, 700};
    std::string problem = layer_problem(c.layer);
    if (problem.empty()) problem = pass_problem(c.layer, pass, sizes);
    if (!problem.empty()) return problem;
    if (c.scored) {
      scores.assign(static_cast<size_t>(scored_tokens(pass)), -1.0);
      pass.scores = scores.data();
    }
    run_attention(path.attention, c.layer, pass, pool, parts);
    return problem;
  }

 private:
  static void copy(const std::vector<float>& from, int64_t begin, int64_t count,
                   std::vector<float>* to) {
    to->insert(to->end(), from.begin() + begin, from.begin() + begin + count);
  }
};

std::vector<double> rotated(const Case& c, const float* row, const std::vector<float>& norm,
                            int64_t position) {
  const AttentionLayer& layer = c.layer;
  std::vector<double> x(row, row + layer.cache.size);
  if (!norm.empty()) {
    const double squares = std::inner_product(x.begin(), x.end(), x.begin(), 0.0);
    const double inverse = 1 / std::sqrt(squares / static_cast<double>(x.size()) + layer.epsilon);
    for (size_t i = 0; i < x.size(); ++i) x[i] *= inverse * norm[i];
  }
  std::vector<double> out = x;
  const int64_t half = layer.rotated / 2;
  for (int64_t i = 0; i < half; ++i) {
    const int64_t first = layer.interleaved ? 2 * i : i;
    const int64_t second = layer.interleaved ? first + 1 : first + half;
    const double cosine = c.cosines[position * half + i];
    const double sine = c.sines[position * half + i];
    out[first] = x[first] * cosine - x[second] * sine;
    out[second] = x[second] * cosine + x[first] * sine;
  }
  return out;
}

// What a head of a token gives, whose sequence begins at row ``first``.
std::vector<double> attended(const Case& c, int64_t first, int64_t index, int64_t head) {
  const int64_t size = c.layer.cache.size;
  const int64_t of_keys = head / c.layer.group * size;
  const std::vector<double> query =
      rotated(c, &c.queries[(first + index) * c.width() + head * size], c.query_norm, index);
  const int64_t seen = c.layer.window > 0 ? std::max<int64_t>(0, index + 1 - c.layer.window) : 0;
  double total = c.sinks.empty() ? 0.0 : std::exp(c.sinks[head]);
  std::vector<double> out(static_cast<size_t>(size));
  for (int64_t t = seen; t <= index; ++t) {
    const int64_t row = (first + t) * c.key_width() + of_keys;
    const std::vector<double> key = rotated(c, &c.keys[row], c.key_norm, t);
    double score = c.layer.scale * std::inner_product(key.begin(), key.end(), query.begin(), 0.0);
    if (c.layer.softcap > 0) score = c.layer.softcap * std::tanh(score / c.layer.softcap);
    if (!c.slopes.empty()) score += c.slopes[head] * static_cast<double>(t - index);
    const double weight = std::exp(score);
    total += weight;
    for (int64_t d = 0; d < size; ++d) out[d] += weight * c.values[row + d];
  }
  for (double& one : out) one /= total;
  return out;
}

void require_values(Choices& choose, const Case& c, const std::vector<float>& output) {
  double tolerance = 1e-5;  // values are up to 1; then, what the type of the cache rounds
  if (c.layer.cache.type == CacheType::kHalf) tolerance = 5e-3;
  if (c.layer.cache.type == CacheType::kBfloat16) tolerance = 4e-2;
  if (c.layer.cache.type == CacheType::kInt8) tolerance = 1e-1;
  if (c.layer.cache.type == CacheType::kUint4) tolerance = 6e-1;
  int64_t first = 0;
  int64_t row = 0;
  for (const Sequence& s : c.sequences) {
    for (int64_t i = 0; i < s.fresh; ++i, ++row) {
      const int64_t head = choose.between(0, c.layer.group * c.layer.cache.heads - 1);
      const std::vector<double> wanted = attended(c, first, s.past + i, head);
      const float* const found = &output[row * c.width() + head * c.layer.cache.size];
      for (int64_t d = 0; d < c.layer.cache.size; ++d) {
        require_close(found[d], wanted[d], tolerance, "attention: a value");
      }
    }
    first += s.length();
  }
}

// The weights of each head of a token sum up to 1, sinks included.
void require_scores(const Case& c, const std::vector<double>& scores) {
  if (!c.scored || !c.sinks.empty()) return;
  size_t next = 0;
  for (const Sequence& s : c.sequences) {
    double total = 0.0;
    for (int64_t i = 0; i < s.length(); ++i) total += scores[next++];
    const auto rows = static_cast<double>(s.fresh * c.layer.group * c.layer.cache.heads);
    require_close(total, rows, 1e-4 * rows, "attention: scores of a sequence");
  }
}

void require_rest_untouched(const Case& c, const std::vector<uint8_t>& cache) {
  const int64_t end = c.offset + c.layer.cache.heads * head_bytes(c.layer.cache);
  for (int64_t i = 0; i < static_cast<int64_t>(cache.size()); ++i) {
    const int64_t at = i % c.block_bytes;
    if (at >= c.offset && at < end) continue;
    require(cache[i] == c.cache[i], "attention: wrote beside its layer");
  }
}

// A pass that may lead out of its bounds: it is refused, or it means something else.
void run_spoiled(Choices& choose, const Case& c) {
  Pass spoiled(c, true);
  std::vector<int32_t>* const tables[] = {&spoiled.begins, &spoiled.pasts, &spoiled.blocks,
                                          &spoiled.block_begins};
  for (int64_t left = choose.between(1, 3); left > 0; --left) {
    if (!spoiled.positions.empty() && choose.one_in(5)) {
      spoiled.positions[choose.random() % spoiled.positions.size()] = choose.odd();
      continue;
    }
    std::vector<int32_t>& table = *choose.one_of(tables);
    if (table.empty()) continue;
    int32_t& entry = table[choose.random() % table.size()];
    entry = static_cast<int32_t>(choose.one_in(2) ? choose.odd() : entry + choose.between(-2, 2));
  }
  SerialPool serial;
  for (const Path* path : runnable_paths()) {
    std::vector<uint8_t> cache = c.cache;
    spoiled.run(*path, c, cache.data(), serial, choose.between(1, 9));
    require_rest_untouched(c, cache);
  }
}

}  // namespace

void test_attention(Choices& choose) {
  const Case c = choose_case(choose);
  if (choose.one_in(6)) return run_spoiled(choose, c);

  SerialPool serial;
  ThreadPool threads;
  std::vector<float> wanted;
  std::vector<double> wanted_scores;
  std::vector<uint8_t> wanted_cache;
  const std::vector<const Path*>& paths = runnable_paths();
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {  // the reference first
    std::vector<uint8_t> cache = c.cache;
    for (const bool second : {false, true}) {
      Pass pass(c, second);
      Pool& pool = choose.one_in(8) ? static_cast<Pool&>(threads) : serial;
      const std::string problem = pass.run(**path, c, cache.data(), pool, choose.between(1, 9));
      require(problem.empty(), "attention: refused: " + problem);
      if (!second) continue;
      if (path == paths.rbegin()) {
        wanted = pass.output;
        wanted_scores = pass.scores;
      }
      require(pass.scores == wanted_scores, std::string("attention: scores of ") + (*path)->name);
      require_same(pass.output, wanted, std::string("attention: ") + (*path)->name);
    }
    if (path == paths.rbegin()) wanted_cache = cache;
    require(cache == wanted_cache, std::string("attention: cache of ") + (*path)->name);
    require_rest_untouched(c, cache);
  }
  require_values(choose, c, wanted);
  require_scores(c, wanted_scores);
}

}  // namespace nanoaccel::test
