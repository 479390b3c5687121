// Paged attention for tests and benchmarks, without ONNX Runtime.
#pragma once

#include <cstdint>

#include "export.h"

extern "C" {

struct NanoaccelAttention {
  int64_t heads, kv_heads, head_size, block_size, cache_type, rotated, interleaved, window;
  float scale, softcap, epsilon;
  const float *queries, *keys, *values;
  float* output;
  double* scores;
  const int64_t* positions;
  const float *cosines, *sines, *sinks, *slopes, *query_norm, *key_norm;
  int64_t table_rows;
  const int32_t *begins, *pasts, *blocks, *block_begins;
  int64_t sequences, tokens, block_ids;
  uint8_t* cache;
  int64_t cache_blocks, block_bytes, offset;
};

// Runs on the calling thread, the last part first. False, and why in ``problem``, when it is
// malformed; nothing is read or written then.
NANOACCEL_EXPORT int nanoaccel_attention_run(const NanoaccelAttention* given, const char* path,
                                             int64_t parts, char* problem, int64_t problem_size);
}
