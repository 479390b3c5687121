#include "attention_exports.h"

#include <cstdio>
#include <string>

#include "attention/attention.h"
#include "isa/path.h"
#include "parallel/serial_pool.h"

int nanoaccel_attention_run(const NanoaccelAttention* given, const char* path, int64_t parts,
                            char* problem, int64_t problem_size) {
  using namespace nanoaccel;
  const NanoaccelAttention& a = *given;
  const bool grouped = a.kv_heads > 0 && a.heads % a.kv_heads == 0;
  const AttentionLayer layer = {
      {static_cast<CacheType>(a.cache_type), a.kv_heads, a.head_size, a.block_size},
      grouped ? a.heads / a.kv_heads : 0,
      a.rotated,
      a.interleaved != 0,
      a.scale,
      a.softcap,
      a.window,
      a.epsilon};
  const AttentionPass pass = {{a.queries, a.heads * a.head_size},
                              {a.keys, a.kv_heads * a.head_size},
                              {a.values, a.kv_heads * a.head_size},
                              a.query_norm,
                              a.key_norm,
                              a.output,
                              a.scores,
                              nullptr,
                              a.positions,
                              a.cosines,
                              a.sines,
                              a.sinks,
                              a.slopes,
                              a.begins,
                              a.pasts,
                              a.blocks,
                              a.block_begins,
                              a.sequences,
                              a.cache + a.offset,
                              a.block_bytes};
  const AttentionSizes sizes = {a.tokens, a.block_ids, a.cache_blocks, a.block_bytes - a.offset,
                                a.table_rows};
  const Path* found = find_path(path);
  std::string wrong = found == nullptr ? "no such path" : layer_problem(layer);
  if (wrong.empty()) wrong = pass_problem(layer, pass, sizes);
  std::snprintf(problem, static_cast<size_t>(problem_size), "%s", wrong.c_str());
  if (found == nullptr || !wrong.empty()) return 0;
  SerialPool pool;
  run_attention(found->attention, layer, pass, pool, parts);
  return 1;
}
