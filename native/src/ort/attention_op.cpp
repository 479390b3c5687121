#include "ort/attention_op.h"

#include "attention/attention.h"
#include "attention/scores.h"
#include "isa/path.h"
#include "ort/float_op.h"
#include "ort/session_pool.h"
#include "ort/tensor.h"

namespace nanoaccel::ort {
namespace {

// Inputs, in their order. Without keys and values, the queries' rows have theirs behind them.
enum Input : size_t {
  kQueries,
  kKeys,
  kValues,
  kCache,
  kPositions,
  kSeqBegins,
  kPastLens,
  kBlockIds,
  kBlockBegins,
  kCosines,
  kSines,
  kSinks,
  kQueryNorm,
  kKeyNorm,
  kSlopes,
  kInputs
};

enum Output : size_t { kAttended, kScores, kOutputs };

[[noreturn]] void refuse(const std::string& problem) {
  throw std::invalid_argument("nanoaccel.PagedAttention: " + problem);
}

template <class T>
const T* data_of(const Tensor& tensor) {
  return static_cast<const T*>(tensor.data);
}

class AttentionKernel {
 public:
  AttentionKernel(const Api& api, const KernelInfo* info)
      : api_(api), path_(*chosen_path()), parts_(parts_of_a_work()) {
    const int64_t heads = integer(api, info, "num_heads");
    CacheLayout& cache = layer_.cache;
    cache.type = static_cast<CacheType>(integer(api, info, "cache_type"));
    cache.heads = integer(api, info, "kv_num_heads");
    cache.size = integer(api, info, "head_size");
    cache.block = integer(api, info, "block_size");
    layer_.group = cache.heads > 0 && heads % cache.heads == 0 ? heads / cache.heads : 0;
    layer_.interleaved = integer(api, info, "interleaved") != 0;
    layer_.window = integer(api, info, "window");
    layer_.scale = real(api, info, "scale");
    layer_.softcap = real(api, info, "softcap");
    layer_.epsilon = real(api, info, "epsilon");
    offset_ = integer(api, info, "cache_offset");
    tells_scores_ = integer(api, info, "scores") != 0;
    packed_ = !is_given(api, info, kKeys);
    rotates_ = is_given(api, info, kCosines);
    has_sinks_ = is_given(api, info, kSinks);
    has_norms_ = is_given(api, info, kQueryNorm);
    has_slopes_ = is_given(api, info, kSlopes);
    const std::string problem = layer_problem(layer_);
    if (!problem.empty()) refuse(problem);
    if (offset_ < 0 || offset_ % static_cast<int64_t>(sizeof(float)) != 0) {
      refuse("cache_offset is no multiple of 4");
    }
    if (is_given(api, info, kValues) == packed_ || is_given(api, info, kSines) != rotates_) {
      refuse("keys and values, and cosines and sines, come together");
    }
    if (is_given(api, info, kKeyNorm) != has_norms_) refuse("norms come together");
  }

  const Api& api() const { return api_; }

  void compute(KernelContext* context) const {
    AttentionLayer layer = layer_;
    AttentionPass pass = {};
    AttentionSizes sizes = {};
    const Tensor queries = input_tensor(api_, context, kQueries);
    read_rows(context, queries, &pass, &sizes);
    read_tables(context, &layer, &pass, &sizes);
    read_sequences(context, &pass, &sizes);
    const Tensor cache = input_tensor(api_, context, kCache);
    if (cache.shape.size() != 2) refuse("the cache is not [blocks, bytes]");
    pass.block_bytes = cache.shape[1];
    pass.cache = static_cast<uint8_t*>(cache.data) + offset_;
    sizes.cache_blocks = cache.shape[0];
    sizes.cache_bytes = cache.shape[1] - offset_;
    const std::string problem = pass_problem(layer, pass, sizes);
    if (!problem.empty()) refuse(problem);

    std::vector<int64_t> shape = queries.shape;
    shape.back() = width_of_queries();
    pass.output = output<float>(context, kAttended, shape);
    if (tells_scores_) pass.scores = output<double>(context, kScores, {scored_tokens(pass)});
    SessionPool pool(api_, context);
    run_attention(path_.attention, layer, pass, pool, parts_);
  }

 private:
  int64_t width_of_keys() const { return layer_.cache.heads * layer_.cache.size; }
  int64_t width_of_queries() const { return layer_.group * width_of_keys(); }

  template <class T>
  T* output(KernelContext* context, size_t index, const std::vector<int64_t>& shape) const {
    Value* made = nullptr;
    check(api_.output(context, index, shape.data(), shape.size(), &made));
    if (made == nullptr) refuse("an output is missing");
    void* memory = nullptr;
    check(api_.tensor_data(made, &memory));
    return static_cast<T*>(memory);
  }

  void read_rows(KernelContext* context, const Tensor& queries, AttentionPass* pass,
                 AttentionSizes* sizes) const {
    const int64_t keys = width_of_keys();
    const int64_t width = width_of_queries() + (packed_ ? 2 * keys : 0);
    if (queries.shape.empty() || queries.shape.back() != width) {
      refuse("the queries' last axis does not fit the heads");
    }
    sizes->tokens = queries.size() / width;
    const auto* first = data_of<float>(queries);
    pass->queries = {first, width};
    if (packed_) {
      pass->keys = {first + width_of_queries(), width};
      pass->values = {first + width_of_queries() + keys, width};
      return;
    }
    const Tensor given_keys = input_tensor(api_, context, kKeys);
    const Tensor given_values = input_tensor(api_, context, kValues);
    if (given_keys.size() != sizes->tokens * keys || given_values.size() != sizes->tokens * keys) {
      refuse("keys or values do not fit the queries");
    }
    pass->keys = {data_of<float>(given_keys), keys};
    pass->values = {data_of<float>(given_values), keys};
  }

  void read_tables(KernelContext* context, AttentionLayer* layer, AttentionPass* pass,
                   AttentionSizes* sizes) const {
    if (has_sinks_) pass->sinks = of_heads(context, kSinks);
    if (has_slopes_) pass->slopes = of_heads(context, kSlopes);
    if (has_norms_) {
      pass->query_norm = norm(context, kQueryNorm);
      pass->key_norm = norm(context, kKeyNorm);
    }
    if (!rotates_) return;
    const Tensor cosines = input_tensor(api_, context, kCosines);
    const Tensor sines = input_tensor(api_, context, kSines);
    const Tensor positions = input_tensor(api_, context, kPositions);
    if (cosines.shape.size() != 2 || cosines.shape != sines.shape) {
      refuse("cosines and sines are not [positions, half of what is rotated]");
    }
    if (positions.size() != sizes->tokens) refuse("positions do not fit the queries");
    layer->rotated = 2 * cosines.shape[1];
    if (layer->rotated > layer->cache.size) refuse("cosines and sines do not fit head_size");
    pass->cosines = data_of<float>(cosines);
    pass->sines = data_of<float>(sines);
    pass->positions = data_of<int64_t>(positions);
    sizes->positions = cosines.shape[0];
  }

  const float* of_heads(KernelContext* context, size_t index) const {
    const Tensor numbers = input_tensor(api_, context, index);
    if (numbers.size() != layer_.group * layer_.cache.heads) {
      refuse("sinks or slopes do not fit the heads");
    }
    return data_of<float>(numbers);
  }

  const float* norm(KernelContext* context, size_t index) const {
    const Tensor weights = input_tensor(api_, context, index);
    if (weights.size() != layer_.cache.size) refuse("weights of norms do not fit head_size");
    return data_of<float>(weights);
  }

  void read_sequences(KernelContext* context, AttentionPass* pass, AttentionSizes* sizes) const {
    const Tensor begins = input_tensor(api_, context, kSeqBegins);
    const Tensor pasts = input_tensor(api_, context, kPastLens);
    const Tensor blocks = input_tensor(api_, context, kBlockIds);
    const Tensor block_begins = input_tensor(api_, context, kBlockBegins);
    pass->sequences = pasts.size();
    if (begins.size() != pass->sequences + 1 || block_begins.size() != pass->sequences + 1) {
      refuse("seq_begins and block_begins are not one longer than past_lens");
    }
    pass->begins = data_of<int32_t>(begins);
    pass->pasts = data_of<int32_t>(pasts);
    pass->blocks = data_of<int32_t>(blocks);
    pass->block_begins = data_of<int32_t>(block_begins);
    sizes->block_ids = blocks.size();
  }

  const Api& api_;
  const Path& path_;
  int64_t parts_;
  AttentionLayer layer_ = {};
  int64_t offset_ = 0;
  bool packed_ = false;
  bool rotates_ = false;
  bool has_sinks_ = false;
  bool has_norms_ = false;
  bool has_slopes_ = false;
  bool tells_scores_ = false;
};

Status* create(const CustomOp*, const Api* api, const KernelInfo* info, void** kernel) {
  return guarded(*api, [&] { *kernel = new AttentionKernel(*api, info); });
}

Status* compute(void* kernel, KernelContext* context) {
  const auto& attention = *static_cast<const AttentionKernel*>(kernel);
  return guarded(attention.api(), [&] { attention.compute(context); });
}

ElementType input_type(const CustomOp*, size_t index) {
  switch (index) {
    case kCache:
      return ElementType::kUint8;
    case kPositions:
      return ElementType::kInt64;
    case kSeqBegins:
    case kPastLens:
    case kBlockIds:
    case kBlockBegins:
      return ElementType::kInt32;
    default:
      return ElementType::kFloat;
  }
}

Presence input_presence(const CustomOp*, size_t index) {
  const bool optional =
      index == kKeys || index == kValues || index == kPositions || index >= kCosines;
  return optional ? Presence::kOptional : Presence::kRequired;
}

constexpr CustomOp kAttention = [] {
  CustomOp op = float_op();
  op.name = [](const CustomOp*) { return "PagedAttention"; };
  op.input_type = input_type;
  op.input_count = [](const CustomOp*) -> size_t { return kInputs; };
  op.output_count = [](const CustomOp*) -> size_t { return kOutputs; };
  op.output_type = [](const CustomOp*, size_t index) {
    return index == kScores ? ElementType::kDouble : ElementType::kFloat;
  };
  op.output_presence = [](const CustomOp*, size_t index) {
    return index == kScores ? Presence::kOptional : Presence::kRequired;
  };
  op.destroy = [](void* kernel) { delete static_cast<AttentionKernel*>(kernel); };
  op.input_presence = input_presence;
  op.create = create;
  op.compute = compute;
  return op;
}();

}  // namespace

const CustomOp* attention_op() { return &kAttention; }

}  // namespace nanoaccel::ort
