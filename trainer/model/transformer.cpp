#include "trainer/model/transformer.h"

#include <ATen/cpu/Utils.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include <fstream>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/model/layer_weights.h"
#include "trainer/model/linear_product.h"
#include "trainer/model/rope.h"
#include "trainer/model/row_functions.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/weights.h"

namespace foresight {
namespace {

bool processor_has_bfloat16() {
  // torch does not tell avx512_bf16; the kernel does.
  std::ifstream facts("/proc/cpuinfo");
  for (std::string line; std::getline(facts, line);) {
    if (line.rfind("flags", 0) != 0 && line.rfind("Features", 0) != 0) continue;
    const std::string padded = line + " ";
    return padded.find(" avx512_bf16 ") != std::string::npos ||
           padded.find(" amx_bf16 ") != std::string::npos || padded.find(" bf16 ") != std::string::npos;
  }
  return false;
}

std::string fingerprint_of(const std::filesystem::path& folder,
                           const std::vector<std::filesystem::path>& files) {
  std::string digests = sha256_file_hex(folder / "config.json");
  for (const auto& file : files) digests += sha256_file_hex(file);
  return sha256_hex(digests);
}

/// A head that is stored beside the embeddings which it is tied to must be equal to them: of another one,
/// programs that load the model use now this, now that.
void require_tied_head(WeightReader& weights, const torch::Tensor& embedding) {
  constexpr const char* kHead = "lm_head.weight";
  if (!weights.contains(kHead)) return;
  const torch::Tensor head = weights.take(kHead, embedding.sizes());
  if (head.numel() == 0 || torch::equal(head, embedding.cpu())) return;  // an ill-shaped one is noted
  weights.note(
      concat("'", kHead,
             "' differs from model.embed_tokens.weight though tie_word_embeddings is true: set that to "
             "false in config.json to use the head, or remove the tensor to use the embeddings"));
}

}  // namespace

ModelOptions resolve_model_options(const std::string& device, const std::string& dtype,
                                   const std::string& cache_dtype) {
  const bool has_cuda = torch::cuda::is_available();
  if (device == "cuda" && !has_cuda) {
    throw Error(
        ErrorKind::kResource,
        "runtime.device: cuda, but no CUDA device can be used here (no GPU, no driver, or a CPU-only build); "
        "set runtime.device=cpu or auto");
  }
  const bool on_gpu = device == "cuda" || (device == "auto" && has_cuda);
  return model_options_on(on_gpu ? torch::Device(torch::kCUDA, 0) : torch::kCPU, dtype, cache_dtype);
}

ModelOptions model_options_on(const torch::Device& device, const std::string& dtype,
                              const std::string& cache_dtype) {
  ModelOptions options;
  options.device = device;
  const bool fast_bfloat16 = options.device.is_cuda() || processor_has_bfloat16();
  if (dtype == "bfloat16" || (dtype == "auto" && fast_bfloat16)) options.dtype = torch::kBFloat16;
  options.cache_dtype = cache_dtype == "auto"       ? options.dtype
                        : cache_dtype == "bfloat16" ? torch::kBFloat16
                                                    : torch::kFloat32;
  return options;
}

Transformer Transformer::load(const std::filesystem::path& folder, const ModelOptions& options) {
  Transformer model;
  model.shape_ = read_model_shape(folder);
  model.options_ = options;
  const ModelShape& shape = model.shape_;
  const std::int64_t hidden = shape.hidden_size;
  WeightReader weights(folder);
  model.embedding_ =
      weights.take("model.embed_tokens.weight", {shape.vocabulary_size, hidden}).to(options.device);
  if (shape.tied_embeddings) {
    model.head_ = product_weight(model.embedding_, options);
    require_tied_head(weights, model.embedding_);
  } else {
    model.head_ = product_weight(weights.take("lm_head.weight", {shape.vocabulary_size, hidden}), options);
  }
  model.final_norm_ = weights.take("model.norm.weight", {hidden}).to(options.device);
  if (shape.norms_add_one) model.final_norm_.add_(1.0);
  for (std::int64_t index = 0; index < shape.layers; ++index) {
    heartbeat();
    model.layers_.push_back(model.take_layer(weights, index));
  }
  if (shape.recurrent.key_heads > 0)
    weights.ignore_below("mtp.");  // a head that predicts the token after the next
  weights.finish();
  model.frequencies_ = rotary_frequencies(shape.rope, shape.rotated_dimensions, 0).to(options.device);
  if (shape.sliding_rope) {
    model.sliding_frequencies_ =
        rotary_frequencies(*shape.sliding_rope, shape.rotated_dimensions, 0).to(options.device);
  }
  model.fingerprint_ = fingerprint_of(folder, weights.files());
  return model;
}

void Transformer::take_norms(WeightReader& weights, const std::string& prefix, Layer& layer) const {
  const auto take = [&](const char* name) {
    const torch::Tensor weight = weights.take(prefix + name + ".weight", {shape_.hidden_size});
    return (shape_.norms_add_one ? weight + 1.0 : weight).to(options_.device);
  };
  switch (shape_.norms) {
    case NormPlace::kBefore:
      layer.before_attention = take("input_layernorm");
      layer.before_feed_forward = take("post_attention_layernorm");
      return;
    case NormPlace::kAfter:
      layer.after_attention = take("post_attention_layernorm");
      layer.after_feed_forward = take("post_feedforward_layernorm");
      return;
    case NormPlace::kBoth:
      layer.before_attention = take("input_layernorm");
      layer.after_attention = take("post_attention_layernorm");
      layer.before_feed_forward = take("pre_feedforward_layernorm");
      layer.after_feed_forward = take("post_feedforward_layernorm");
      return;
  }
}

void Transformer::take_query_key_norms(WeightReader& weights, const std::string& prefix, Layer& layer) const {
  if (shape_.query_key_norm == QueryKeyNorm::kNone) return;
  const std::int64_t d = shape_.head_dimension;
  const bool by_head = shape_.query_key_norm == QueryKeyNorm::kHeads;
  const auto take = [&](const char* name, std::int64_t width) {
    const torch::Tensor weight = weights.take(prefix + name, {width});
    return (shape_.norms_add_one ? weight + 1.0 : weight).to(options_.device);
  };
  const torch::Tensor query = take("self_attn.q_norm.weight", by_head ? d : shape_.query_heads * d);
  const torch::Tensor key = take("self_attn.k_norm.weight", by_head ? d : shape_.kv_heads * d);
  if (!by_head) {
    layer.query_norm = query;
    layer.key_norm = key;
  } else if (query.numel() == d && key.numel() == d) {  // absent ones are empty and told of by finish()
    layer.query_key_norm =
        torch::cat({query.expand({shape_.query_heads, 1, d}), key.expand({shape_.kv_heads, 1, d})});
  }
}

void Transformer::take_attention(WeightReader& weights, const std::string& prefix, Layer& layer) const {
  const std::int64_t hidden = shape_.hidden_size, d = shape_.head_dimension;
  const std::int64_t queries = shape_.query_heads * d, keys = shape_.kv_heads * d;
  const auto take = [&](const std::string& name, torch::IntArrayRef size) {
    return weights.take(prefix + name, size);
  };
  // With gated attention each head's queries are followed by its gate; here the gates come last.
  const auto joined = [&](const std::string& ending, const std::vector<std::int64_t>& width) {
    const auto sized = [&](std::int64_t rows) {
      std::vector<std::int64_t> size = {rows};
      size.insert(size.end(), width.begin(), width.end());
      return size;
    };
    torch::Tensor query =
        take("self_attn.q_proj" + ending, sized(shape_.gated_attention ? 2 * queries : queries));
    const torch::Tensor key = take("self_attn.k_proj" + ending, sized(keys));
    const torch::Tensor value = take("self_attn.v_proj" + ending, sized(keys));
    if (!shape_.gated_attention || query.numel() == 0) return torch::cat({query, key, value});
    query = query.view({shape_.query_heads, 2, d, -1});
    const auto part = [&](std::int64_t which) { return query.select(1, which).reshape(sized(queries)); };
    return torch::cat({part(0), key, value, part(1)});
  };
  layer.query_key_value = product_weight(shape_.fused_projections
                                             ? take("self_attn.qkv_proj.weight", {queries + 2 * keys, hidden})
                                             : joined(".weight", {hidden}),
                                         options_);
  layer.output = product_weight(take("self_attn.o_proj.weight", {hidden, queries}), options_);
  if (shape_.query_key_value_bias) layer.query_key_value_bias = joined(".bias", {}).to(options_.device);
  if (shape_.sinks) layer.sinks = take("self_attn.sinks", {shape_.query_heads}).to(options_.device);
  if (shape_.output_bias) layer.output_bias = take("self_attn.o_proj.bias", {hidden}).to(options_.device);
  take_query_key_norms(weights, prefix, layer);
  weights.ignore(prefix + "self_attn.rotary_emb.inv_freq");
}

Transformer::Layer Transformer::take_layer(WeightReader& weights, std::int64_t index) const {
  const std::string prefix = concat("model.layers.", index, ".");
  const LayerKind kind = shape_.kind(index);
  Layer layer;
  take_norms(weights, prefix, layer);
  if (kind.attention == AttentionKind::kRecurrent) {
    layer.recurrent = take_delta_net(weights, prefix + "linear_attn.", shape_, options_);
  } else {
    take_attention(weights, prefix, layer);
  }
  layer.feed_forward = kind.feed_forward == FeedForwardKind::kExperts
                           ? FeedForwardWeights(take_experts(weights, prefix + "mlp.", shape_, options_))
                           : take_dense(weights, prefix + "mlp.", shape_, options_);
  return layer;
}

Transformer::Rotation Transformer::rotation(const RopeParameters& rope, const torch::Tensor& frequencies,
                                            const torch::Tensor& positions) const {
  torch::Tensor own = frequencies;
  if (rope.depends_on_length())
    own = frequencies_at(rope, frequencies, positions.max().item<std::int64_t>() + 1);
  const torch::Tensor angles =
      positions.to(options_.device, torch::kFloat32).unsqueeze(-1) * own;  // [R or 1, T, rotated / 2]
  Rotation rotation{.cosine = angles.cos().unsqueeze(1), .sine = angles.sin().unsqueeze(1)};
  if (rope.attention_factor != 1.0) {
    rotation.cosine.mul_(rope.attention_factor);
    rotation.sine.mul_(rope.attention_factor);
  }
  return rotation;
}

torch::Tensor Transformer::query_key(const Layer& layer, const torch::Tensor& joined) const {
  const std::int64_t rows = joined.size(0), tokens = joined.size(1), d = shape_.head_dimension;
  const std::int64_t queries = shape_.query_heads * d, keys = shape_.kv_heads * d;
  const auto by_head = [&](const torch::Tensor& values) {
    return values.view({rows, tokens, -1, d}).transpose(1, 2);
  };
  if (shape_.query_key_norm == QueryKeyNorm::kWhole) {
    const torch::Tensor query =
        rms_norm(joined.narrow(2, 0, queries).contiguous(), layer.query_norm, shape_.norm_epsilon);
    const torch::Tensor key =
        rms_norm(joined.narrow(2, queries, keys).contiguous(), layer.key_norm, shape_.norm_epsilon);
    return torch::cat({by_head(query), by_head(key)}, 1);
  }
  const torch::Tensor both = by_head(joined).narrow(1, 0, shape_.query_heads + shape_.kv_heads);
  return shape_.query_key_norm == QueryKeyNorm::kHeads
             ? rms_norm(both, layer.query_key_norm, shape_.norm_epsilon)
             : both;
}

torch::Tensor Transformer::rotated(const torch::Tensor& query_key, const Rotation& rotation) const {
  const std::int64_t turned = shape_.rotated_dimensions, left = shape_.head_dimension - turned;
  if (left == 0) return rotate(query_key, rotation.cosine, rotation.sine);
  return torch::cat({rotate(query_key.narrow(3, 0, turned), rotation.cosine, rotation.sine),
                     query_key.narrow(3, turned, left).to(torch::kFloat32)},
                    3);
}

torch::Tensor Transformer::attention_block(std::int64_t index, const torch::Tensor& hidden,
                                           const Rotation& rotation, Attention& attention) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  if (layer.recurrent) return delta_net(hidden, *layer.recurrent, shape_, attention.recurrent_state(index));
  const std::int64_t rows = hidden.size(0), tokens = hidden.size(1), d = shape_.head_dimension;
  const torch::Tensor joined = linear_product(hidden, layer.query_key_value, layer.query_key_value_bias);
  const torch::Tensor plain = query_key(layer, joined);
  const torch::Tensor turned =
      shape_.kind(index).rotates ? rotated(plain, rotation) : plain.to(torch::kFloat32);
  torch::Tensor query = turned.narrow(1, 0, shape_.query_heads);
  if (shape_.query_scale != 1.0) query = query * shape_.query_scale;
  const torch::Tensor values =
      joined.narrow(2, (shape_.query_heads + shape_.kv_heads) * d, shape_.kv_heads * d)
          .view({rows, tokens, shape_.kv_heads, d})
          .transpose(1, 2);
  const torch::Tensor attended =
      attention.attend(index, query, turned.narrow(1, shape_.query_heads, shape_.kv_heads),
                       values.to(torch::kFloat32), layer.sinks);
  const std::int64_t width = shape_.query_heads * d;
  torch::Tensor output = attended.transpose(1, 2).reshape({rows, tokens, width});
  if (shape_.gated_attention)
    output =
        output * torch::sigmoid(joined.narrow(2, width + 2 * shape_.kv_heads * d, width).to(torch::kFloat32));
  return linear_product(output, layer.output, layer.output_bias);
}

torch::Tensor Transformer::forward(const torch::Tensor& tokens, const torch::Tensor& positions,
                                   Attention& attention) const {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1, -1}, "tokens");
  const torch::Tensor where = positions.dim() == 1 ? positions.unsqueeze(0) : positions;  // [R or 1, T]
  check_shape(where, {-1, tokens.size(1)}, "positions");
  const Rotation all = rotation(shape_.rope, frequencies_, where);
  const Rotation sliding =
      shape_.sliding_rope ? rotation(*shape_.sliding_rope, sliding_frequencies_, where) : all;
  torch::Tensor hidden = torch::embedding(embedding_, tokens.to(options_.device));  // [R, T, hidden]
  if (shape_.embedding_scale != 1.0) hidden.mul_(shape_.embedding_scale);
  const auto input = [&](const torch::Tensor& weight) {
    return weight.defined() ? rms_norm(hidden, weight, shape_.norm_epsilon, options_.dtype) : hidden;
  };
  const auto add = [&](const torch::Tensor& update, const torch::Tensor& weight) {
    add_update(hidden, weight.defined() ? rms_norm(update, weight, shape_.norm_epsilon) : update);
  };
  for (std::int64_t index = 0; index < shape_.layers; ++index) {
    heartbeat();
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const Rotation& own = shape_.kind(index).attention == AttentionKind::kSliding ? sliding : all;
    add(attention_block(index, input(layer.before_attention), own, attention), layer.after_attention);
    add(feed_forward(input(layer.before_feed_forward), layer.feed_forward), layer.after_feed_forward);
  }
  return rms_norm(hidden, final_norm_, shape_.norm_epsilon);
}

torch::Tensor Transformer::head_product(const torch::Tensor& hidden) const {
  const torch::Tensor product = linear_product(hidden, head_);
  return shape_.logit_cap > 0.0 ? soft_capped(product.to(torch::kFloat32), shape_.logit_cap) : product;
}

torch::Tensor Transformer::logits(const torch::Tensor& hidden) const {
  const torch::NoGradGuard no_grad;
  check_shape(hidden, {-1, shape_.hidden_size}, "hidden");
  return head_product(hidden).to(torch::kFloat32);
}

std::string Transformer::dtype_name() const {
  return dtype_name_of(options_);
}

std::string dtype_name_of(const ModelOptions& options) {
  const auto name = [](torch::ScalarType type) -> std::string {
    return type == torch::kFloat32 ? "float32" : "bfloat16";
  };
  if (options.cache_dtype == options.dtype) return name(options.dtype);
  return concat(name(options.dtype), " (cache ", name(options.cache_dtype), ")");
}

LossAndEntropy Transformer::loss_and_entropy(const torch::Tensor& hidden,
                                             const torch::Tensor& targets) const {
  const torch::NoGradGuard no_grad;
  check_shape(hidden, {-1, shape_.hidden_size}, "hidden");
  const std::int64_t total = hidden.size(0);
  check_shape(targets, {total}, "targets");
  const std::int64_t rows_together = hidden.is_cuda() ? 512 : 128;  // whose logits are there at once
  const torch::Tensor wanted = targets.to(hidden.device(), torch::kInt64);
  LossAndEntropy result{.loss = torch::empty({total}, hidden.options()),
                        .entropy = torch::empty({total}, hidden.options())};
  for (std::int64_t first = 0; first < total; first += rows_together) {
    const std::int64_t count = std::min(rows_together, total - first);
    const LossAndEntropy some = foresight::loss_and_entropy(head_product(hidden.narrow(0, first, count)),
                                                            wanted.narrow(0, first, count));
    result.loss.narrow(0, first, count).copy_(some.loss);
    result.entropy.narrow(0, first, count).copy_(some.entropy);
  }
  return result;
}

}  // namespace foresight
