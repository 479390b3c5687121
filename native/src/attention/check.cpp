#include "attention/attention.h"

namespace nanoaccel {
namespace {

constexpr int64_t kLeastHead = 16;
constexpr int64_t kMostHead = 256;
constexpr int64_t kMostHeads = 1024;

bool ascending(const int32_t* begins, int64_t count, int64_t end) {
  if (begins[0] != 0 || begins[count] != end) return false;
  for (int64_t i = 0; i < count; ++i) {
    if (begins[i + 1] < begins[i]) return false;
  }
  return true;
}

}  // namespace

std::string layer_problem(const AttentionLayer& layer) {
  const CacheLayout& cache = layer.cache;
  if (cache.size < kLeastHead || cache.size > kMostHead || cache.size % kCacheTile != 0) {
    return "head_size is no multiple of 16 from 16 to 256";
  }
  if (cache.block < kCacheTile || kPiece % cache.block != 0) return "block_size is not 16 to 128";
  if (cache.heads < 1 || layer.group < 1 || layer.group * cache.heads > kMostHeads) {
    return "num_heads is no multiple of kv_num_heads";
  }
  if (layer.rotated < 0 || layer.rotated > cache.size || layer.rotated % 2 != 0) {
    return "tables of cosines and sines do not fit head_size";
  }
  if (layer.window < 0) return "window is negative";
  switch (cache.type) {
    case CacheType::kFloat:
    case CacheType::kInt8:
    case CacheType::kHalf:
    case CacheType::kBfloat16:
    case CacheType::kUint4:
      return "";
  }
  return "cache_type is none that is known";
}

std::string pass_problem(const AttentionLayer& layer, const AttentionPass& pass,
                         const AttentionSizes& sizes) {
  if (sizes.cache_bytes < layer.cache.heads * head_bytes(layer.cache)) {
    return "the cache's blocks are too small";
  }
  if (pass.block_bytes % static_cast<int64_t>(sizeof(float)) != 0) {
    return "the cache's blocks have no multiple of 4 bytes";
  }
  if (!ascending(pass.begins, pass.sequences, sizes.tokens)) return "seq_begins do not ascend to T";
  if (!ascending(pass.block_begins, pass.sequences, sizes.block_ids)) {
    return "block_begins do not ascend to the number of blocks";
  }
  for (int64_t s = 0; s < pass.sequences; ++s) {
    const int64_t length = int64_t{pass.pasts[s]} + pass.begins[s + 1] - pass.begins[s];
    const int64_t blocks = pass.block_begins[s + 1] - pass.block_begins[s];
    if (pass.pasts[s] < 0 || length > blocks * layer.cache.block) {
      return "a sequence has too few blocks for its tokens";
    }
  }
  for (int64_t i = 0; i < sizes.block_ids; ++i) {
    if (pass.blocks[i] < 0 || pass.blocks[i] >= sizes.cache_blocks) {
      return "a block is beyond the cache";
    }
  }
  for (int64_t t = 0; t < sizes.tokens && layer.rotated > 0; ++t) {
    if (pass.positions[t] < 0 || pass.positions[t] >= sizes.positions) {
      return "a position is beyond the tables of cosines and sines";
    }
  }
  return "";
}

}  // namespace nanoaccel
