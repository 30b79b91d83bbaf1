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
  const auto hold = [&](const torch::Tensor& tensor, torch::ScalarType type) {
    return tensor.to(options.device, type);
  };
  model.embedding_ =
      hold(weights.take("model.embed_tokens.weight", {shape.vocabulary_size, hidden}), torch::kFloat32);
  if (shape.tied_embeddings) {
    model.head_ = model.embedding_.to(options.dtype);
    require_tied_head(weights, model.embedding_);
  } else {
    model.head_ = hold(weights.take("lm_head.weight", {shape.vocabulary_size, hidden}), options.dtype);
  }
  model.final_norm_ = hold(weights.take("model.norm.weight", {hidden}), torch::kFloat32);
  for (std::int64_t index = 0; index < shape.layers; ++index) {
    heartbeat();
    model.layers_.push_back(model.take_layer(weights, index));
  }
  weights.finish();
  model.frequencies_ = rotary_frequencies(shape.rope, shape.head_dimension, 0).to(options.device);
  model.fingerprint_ = fingerprint_of(folder, weights.files());
  return model;
}

Transformer::Layer Transformer::take_layer(WeightReader& weights, std::int64_t index) const {
  const std::int64_t hidden = shape_.hidden_size, d = shape_.head_dimension;
  const std::int64_t query_width = shape_.query_heads * d, kv_width = shape_.kv_heads * d;
  const std::string prefix = concat("model.layers.", index, ".");
  const auto take = [&](const std::string& name, torch::IntArrayRef size) {
    return weights.take(prefix + name, size);
  };
  const auto hold = [&](const torch::Tensor& tensor, torch::ScalarType type) {
    return tensor.to(options_.device, type);
  };
  Layer layer;
  layer.input_norm = hold(take("input_layernorm.weight", {hidden}), torch::kFloat32);
  layer.post_attention_norm = hold(take("post_attention_layernorm.weight", {hidden}), torch::kFloat32);
  layer.query_key_value = hold(torch::cat({take("self_attn.q_proj.weight", {query_width, hidden}),
                                           take("self_attn.k_proj.weight", {kv_width, hidden}),
                                           take("self_attn.v_proj.weight", {kv_width, hidden})}),
                               options_.dtype);
  layer.output = hold(take("self_attn.o_proj.weight", {hidden, query_width}), options_.dtype);
  if (shape_.query_key_value_bias) {
    layer.query_key_value_bias = hold(
        torch::cat({take("self_attn.q_proj.bias", {query_width}), take("self_attn.k_proj.bias", {kv_width}),
                    take("self_attn.v_proj.bias", {kv_width})}),
        torch::kFloat32);
  }
  if (shape_.output_bias) layer.output_bias = hold(take("self_attn.o_proj.bias", {hidden}), torch::kFloat32);
  if (shape_.query_key_norm) {
    const torch::Tensor query = take("self_attn.q_norm.weight", {d});
    const torch::Tensor key = take("self_attn.k_norm.weight", {d});
    // Absent ones are empty and told of by finish().
    if (query.numel() == d && key.numel() == d) {
      layer.query_key_norm =
          hold(torch::cat({query.expand({shape_.query_heads, 1, d}), key.expand({shape_.kv_heads, 1, d})}),
               torch::kFloat32);
    }
  }
  if (shape_.kind(index).feed_forward == FeedForwardKind::kExperts) {
    layer.feed_forward = take_experts(weights, prefix + "mlp.", shape_, options_);
  } else {
    layer.feed_forward = take_dense(weights, prefix + "mlp.", shape_, options_);
  }
  weights.ignore(prefix + "self_attn.rotary_emb.inv_freq");
  return layer;
}

std::pair<torch::Tensor, torch::Tensor> Transformer::rotations(const torch::Tensor& positions) const {
  torch::Tensor frequencies = frequencies_;
  if (shape_.rope.type == RopeType::kDynamic) {
    const std::int64_t tokens = positions.max().item<std::int64_t>() + 1;
    if (tokens > shape_.rope.original_positions) {
      frequencies = rotary_frequencies(shape_.rope, shape_.head_dimension, tokens).to(options_.device);
    }
  }
  const torch::Tensor angles =
      positions.to(options_.device, torch::kFloat32).unsqueeze(-1) * frequencies;  // [R or 1, T, d / 2]
  torch::Tensor cosine = angles.cos().unsqueeze(1), sine = angles.sin().unsqueeze(1);
  if (shape_.rope.attention_factor != 1.0) {
    cosine.mul_(shape_.rope.attention_factor);
    sine.mul_(shape_.rope.attention_factor);
  }
  return {cosine, sine};
}

torch::Tensor Transformer::attention_block(std::int64_t index, const torch::Tensor& hidden,
                                           const torch::Tensor& cosine, const torch::Tensor& sine,
                                           Attention& attention) const {
  const Layer& layer = layers_[static_cast<std::size_t>(index)];
  const std::int64_t rows = hidden.size(0), tokens = hidden.size(1), d = shape_.head_dimension;
  const std::int64_t heads = shape_.query_heads + 2 * shape_.kv_heads;
  const torch::Tensor joined = linear_product(hidden, layer.query_key_value, layer.query_key_value_bias)
                                   .view({rows, tokens, heads, d})
                                   .transpose(1, 2);  // [R, H + 2K, T, d]
  torch::Tensor query_key = joined.narrow(1, 0, shape_.query_heads + shape_.kv_heads);
  if (shape_.query_key_norm) query_key = rms_norm(query_key, layer.query_key_norm, shape_.norm_epsilon);
  const torch::Tensor rotated = rotate(query_key, cosine, sine);
  const torch::Tensor values = joined.narrow(1, heads - shape_.kv_heads, shape_.kv_heads);
  const torch::Tensor attended =
      attention.attend(index, rotated.narrow(1, 0, shape_.query_heads),
                       rotated.narrow(1, shape_.query_heads, shape_.kv_heads), values.to(torch::kFloat32));
  return linear_product(attended.transpose(1, 2).reshape({rows, tokens, shape_.query_heads * d}),
                        layer.output, layer.output_bias);
}

torch::Tensor Transformer::forward(const torch::Tensor& tokens, const torch::Tensor& positions,
                                   Attention& attention) const {
  const torch::NoGradGuard no_grad;
  check_shape(tokens, {-1, -1}, "tokens");
  const torch::Tensor where = positions.dim() == 1 ? positions.unsqueeze(0) : positions;  // [R or 1, T]
  check_shape(where, {-1, tokens.size(1)}, "positions");
  const auto [cosine, sine] = rotations(where);
  torch::Tensor hidden = torch::embedding(embedding_, tokens.to(options_.device));  // [R, T, hidden]
  const auto norm = [&](const torch::Tensor& weight) {
    return rms_norm(hidden, weight, shape_.norm_epsilon, options_.dtype);
  };
  for (std::int64_t index = 0; index < shape_.layers; ++index) {
    heartbeat();
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    add_update(hidden, attention_block(index, norm(layer.input_norm), cosine, sine, attention));
    add_update(hidden, feed_forward(norm(layer.post_attention_norm), layer.feed_forward));
  }
  return rms_norm(hidden, final_norm_, shape_.norm_epsilon);
}

torch::Tensor Transformer::logits(const torch::Tensor& hidden) const {
  const torch::NoGradGuard no_grad;
  check_shape(hidden, {-1, shape_.hidden_size}, "hidden");
  return linear_product(hidden, head_).to(torch::kFloat32);
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
  constexpr std::int64_t kRows = 128;
  const torch::Tensor wanted = targets.to(hidden.device(), torch::kInt64);
  LossAndEntropy result{.loss = torch::empty({total}, hidden.options()),
                        .entropy = torch::empty({total}, hidden.options())};
  for (std::int64_t first = 0; first < total; first += kRows) {
    const std::int64_t count = std::min(kRows, total - first);
    const LossAndEntropy some = foresight::loss_and_entropy(
        linear_product(hidden.narrow(0, first, count), head_), wanted.narrow(0, first, count));
    result.loss.narrow(0, first, count).copy_(some.loss);
    result.entropy.narrow(0, first, count).copy_(some.entropy);
  }
  return result;
}

}  // namespace foresight
