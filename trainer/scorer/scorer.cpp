#include "trainer/scorer/scorer.h"

#include <torch/utils.h>

#include <cmath>

#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/config/names.h"
#include "trainer/kernels/scorer_layer.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

torch::Tensor uniform(torch::IntArrayRef size, double bound, RandomStream& stream) {
  torch::Tensor tensor = torch::empty(size);
  float* data = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    data[i] = static_cast<float>((2.0 * stream.uniform() - 1.0) * bound);
  return tensor;
}

}  // namespace

std::pair<torch::Tensor, torch::Tensor> Scorer::Layer::folded() const {
  const torch::Tensor weight = weight1 / deviation.unsqueeze(-1);
  return {weight, bias1.unsqueeze(1) - torch::bmm(mean.unsqueeze(1), weight)};
}

Scorer Scorer::random(const ModelShape& model, const ScorerFacts& facts, RandomStream stream) {
  Scorer scorer;
  scorer.facts_ = facts;
  scorer.shape_ = ScorerShape::of(model);
  const std::int64_t heads = scorer.shape_.kv_heads, inputs = scorer.shape_.inputs(facts.features);
  const double bound1 = 1.0 / std::sqrt(static_cast<double>(inputs));
  const double bound2 = 1.0 / std::sqrt(static_cast<double>(kScorerHidden));
  for (std::int64_t index = 0; index < scorer.shape_.layers; ++index) {
    Layer layer;
    layer.weight1 = uniform({heads, inputs, kScorerHidden}, bound1, stream).requires_grad_();
    layer.bias1 = uniform({heads, kScorerHidden}, bound1, stream).requires_grad_();
    layer.weight2 = uniform({heads, kScorerHidden, 1}, bound2, stream).requires_grad_();
    layer.bias2 = torch::zeros({heads, 1}).requires_grad_();
    layer.mean = torch::zeros({heads, inputs});
    layer.deviation = torch::ones({heads, inputs});
    scorer.layers_.push_back(std::move(layer));
  }
  return scorer;
}

torch::Tensor Scorer::score(std::int64_t index, const torch::Tensor& features) const {
  torch::Tensor here = to_device(features, device());
  if (torch::GradMode::is_enabled() || !suits_kernels(here)) return score_by_torch(index, here);
  here = here.contiguous();
  kernels::FeatureWork of;
  of.rows = here.size(0);
  of.kv_heads = here.size(1);
  of.entries = here.size(2);
  of.inputs = here.size(3);
  return score_entries(index, of, here);
}

bool Scorer::suits_kernels(const torch::Tensor& features) const {
  return features.scalar_type() == torch::kFloat32 &&
         kernels::suits_scorer_layer(features.device(), features.size(3));
}

torch::Tensor Scorer::score_by_torch(std::int64_t index, const torch::Tensor& features) const {
  const Layer& layer = layers_.at(static_cast<std::size_t>(index));
  const std::int64_t rows = features.size(0), heads = features.size(1), entries = features.size(2),
                     inputs = features.size(3);
  check_shape(layer.weight1, {heads, inputs, kScorerHidden}, "scorer fc1.weight for these features");
  heartbeat();
  const auto [weight, bias] = layer.folded();
  const torch::Tensor by_head = features.transpose(0, 1).reshape({heads, rows * entries, inputs});
  const torch::Tensor hidden = torch::gelu(torch::baddbmm(bias, by_head, weight));
  const torch::Tensor scores =
      torch::baddbmm(layer.bias2.unsqueeze(1), hidden, layer.weight2);  // [K, R N, 1]
  return scores.view({heads, rows, entries}).transpose(0, 1);
}

kernels::LayerWeights Scorer::layer_weights(std::int64_t index) const {
  static_assert(kScorerHidden == kernels::kHiddenUnits);
  const Layer& layer = layers_.at(static_cast<std::size_t>(index));
  return {.mean = layer.mean.const_data_ptr<float>(),
          .deviation = layer.deviation.const_data_ptr<float>(),
          .weight1 = layer.weight1.const_data_ptr<float>(),
          .bias1 = layer.bias1.const_data_ptr<float>(),
          .weight2 = layer.weight2.const_data_ptr<float>(),
          .bias2 = layer.bias2.const_data_ptr<float>()};
}

torch::Tensor Scorer::score_entries(std::int64_t index, const kernels::FeatureWork& of,
                                    const torch::Tensor& features) const {
  heartbeat();
  const Layer& layer = layers_.at(static_cast<std::size_t>(index));
  check_shape(layer.weight1, {of.kv_heads, of.inputs, kScorerHidden}, "scorer fc1.weight for these features");
  torch::Tensor scores = torch::empty({of.rows, of.kv_heads, of.entries}, layer.mean.options());
  kernels::ScoreWork work{layer_weights(index)};
  work.of = of;
  if (features.defined()) work.features = features.const_data_ptr<float>();
  work.scores = scores.mutable_data_ptr<float>();
  kernels::score(work, scores.device());
  return scores;
}

std::vector<torch::Tensor> Scorer::row_gradients(std::int64_t index, const torch::Tensor& features,
                                                 const std::vector<torch::Tensor>& deltas) const {
  const Layer& layer = layers_.at(static_cast<std::size_t>(index));
  const std::int64_t rows = features.size(0), heads = features.size(1), entries = features.size(2),
                     inputs = features.size(3);
  check_shape(layer.weight1, {heads, inputs, kScorerHidden}, "scorer fc1.weight for these features");
  for (const torch::Tensor& delta : deltas)
    check_shape(delta, {rows, heads, entries}, "weights of the scores");
  if (!features.is_cpu() || !suits_kernels(features) || deltas.empty() ||
      deltas.size() > kernels::GradientWork::kMost)
    return row_gradients_by_torch(index, features, deltas);
  const torch::Tensor here = features.contiguous();
  kernels::GradientWork work{layer_weights(index)};
  work.features = here.const_data_ptr<float>();
  work.rows = rows;
  work.kv_heads = heads;
  work.entries = entries;
  work.inputs = inputs;
  std::vector<torch::Tensor> packed, gradients;
  for (std::size_t kind = 0; kind < deltas.size(); ++kind) {
    packed.push_back(deltas[kind].contiguous());
    gradients.push_back(torch::empty({rows, work.numbers()}, features.options()));
    work.deltas[kind] = packed.back().const_data_ptr<float>();
    work.gradients[kind] = gradients.back().mutable_data_ptr<float>();
  }
  kernels::differentiate(work);
  return gradients;
}

std::vector<torch::Tensor> Scorer::row_gradients_by_torch(std::int64_t index, const torch::Tensor& features,
                                                          const std::vector<torch::Tensor>& deltas) const {
  const torch::NoGradGuard no_grad;
  const Layer& layer = layers_.at(static_cast<std::size_t>(index));
  const std::int64_t rows = features.size(0), heads = features.size(1),
                     count = static_cast<std::int64_t>(deltas.size());
  const auto [weight, bias] = layer.folded();
  const torch::Tensor before = torch::matmul(features, weight) + bias;  // [R, K, M, 16]
  const torch::Tensor hidden = torch::gelu(before);
  const torch::Tensor second = layer.weight2.view({heads, 1, kScorerHidden});
  std::vector<torch::Tensor> behind;  // of the sums, what reaches the first map: [R, K, M, 16] each
  for (const torch::Tensor& delta : deltas)
    behind.push_back(at::gelu_backward(delta.unsqueeze(-1) * second, before));
  const torch::Tensor all = count == 1 ? behind.front() : torch::cat(behind, 3);  // [R, K, M, n 16]
  const torch::Tensor sums = all.sum(2);                                          // [R, K, n 16]
  const torch::Tensor products = torch::matmul(features.transpose(2, 3), all);    // [R, K, F, n 16]
  const torch::Tensor first =
      (products - layer.mean.unsqueeze(-1) * sums.unsqueeze(2)) / layer.deviation.unsqueeze(-1);
  std::vector<torch::Tensor> gradients;
  for (std::int64_t i = 0; i < count; ++i) {
    const torch::Tensor& delta = deltas[static_cast<std::size_t>(i)];
    const auto own = [&](const torch::Tensor& values) {
      return values.narrow(-1, i * kScorerHidden, kScorerHidden).reshape({rows, -1});
    };
    gradients.push_back(torch::cat(
        {own(first), own(sums), torch::matmul(delta.unsqueeze(2), hidden).reshape({rows, -1}), delta.sum(2)},
        1));
  }
  return gradients;
}

std::int64_t Scorer::layer_numbers(std::int64_t index) const {
  const Layer& layer = layers_.at(static_cast<std::size_t>(index));
  return layer.weight1.numel() + layer.bias1.numel() + layer.weight2.numel() + layer.bias2.numel();
}

void Scorer::add_layer_gradient(std::int64_t index, const torch::Tensor& gradient) {
  check_shape(gradient, {layer_numbers(index)}, "gradient of a scorer's layer");
  Layer& layer = layers_.at(static_cast<std::size_t>(index));
  std::int64_t at = 0;
  for (torch::Tensor* parameter : {&layer.weight1, &layer.bias1, &layer.weight2, &layer.bias2}) {
    const torch::Tensor part = gradient.narrow(0, at, parameter->numel()).view(parameter->sizes());
    torch::Tensor& own = parameter->mutable_grad();
    own = own.defined() ? own + part : part.clone();
    at += parameter->numel();
  }
}

void Scorer::set_normalisation(std::int64_t index, const torch::Tensor& mean,
                               const torch::Tensor& deviation) {
  Layer& layer = layers_.at(static_cast<std::size_t>(index));
  check_shape(mean, layer.mean.sizes(), "feature mean");
  check_shape(deviation, layer.mean.sizes(), "feature deviation");
  layer.mean = mean.detach().clone().to(device());
  layer.deviation = deviation.detach().clone().to(device());
}

std::vector<torch::Tensor> Scorer::parameters() const {
  std::vector<torch::Tensor> all;
  for (const Layer& layer : layers_)
    all.insert(all.end(), {layer.weight1, layer.bias1, layer.weight2, layer.bias2});
  return all;
}

Scorer Scorer::clone() const {
  return to(device());
}

Scorer Scorer::to(const torch::Device& device) const {
  Scorer copy = *this;
  for (Layer& layer : copy.layers_) {
    for (torch::Tensor* tensor : {&layer.weight1, &layer.bias1, &layer.weight2, &layer.bias2}) {
      *tensor = tensor->detach().clone().to(device).requires_grad_();
    }
    layer.mean = layer.mean.to(device);
    layer.deviation = layer.deviation.to(device);
  }
  return copy;
}

torch::Device Scorer::device() const {
  return layers_.front().weight1.device();
}

std::map<std::string, torch::Tensor> Scorer::judge_tensors() const {
  std::map<std::string, torch::Tensor> tensors;
  for (std::int64_t index = 0; index < layers(); ++index) {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const auto put = [&](const char* name, const torch::Tensor& values) {
      tensors[judge_tensor_name(layer_number(index), name)] = values.detach().to(torch::kCPU).contiguous();
    };
    put("fc1.weight", layer.weight1);
    put("fc1.bias", layer.bias1);
    put("fc2.weight", layer.weight2);
    put("fc2.bias", layer.bias2);
  }
  return tensors;
}

void Scorer::write(const std::filesystem::path& file,
                   const std::map<std::string, torch::Tensor>& tensors) const {
  std::map<std::string, std::string> metadata = {
      {"format", shape_.numbers.empty() ? kScorerFormat : kScorerFormatOfSomeLayers},
      {"features", to_string(facts_.features)},
      {"budget", std::to_string(facts_.budget)},
      {"window", std::to_string(facts_.window)},
      {"protect_sinks", std::to_string(facts_.protect_sinks)},
      {"protect_prompt", facts_.protect_prompt ? "true" : "false"},
      {"score", "high = evict"},
      {"model_fingerprint", facts_.model_fingerprint},
      {"dtype", facts_.dtype},
      {"code_version", code_version()},
      {"config", facts_.config}};
  if (!shape_.numbers.empty()) metadata[kScorerLayersKey] = join(shape_.numbers, " ");
  std::vector<TensorToWrite> list;
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    list.push_back(tensor_to_write(name, tensor));
    views[name] = {list.back().dtype, list.back().shape, list.back().bytes};
  }
  metadata[kScorerDigestKey] = scorer_digest(views, metadata);
  write_safetensors(file, list, metadata);
}

std::map<std::string, torch::Tensor> Scorer::all_tensors() const {
  auto tensors = judge_tensors();
  std::vector<torch::Tensor> means, deviations;
  for (const Layer& layer : layers_) {
    means.push_back(layer.mean);
    deviations.push_back(layer.deviation);
  }
  tensors["feature_mean"] = torch::stack(means).to(torch::kCPU);
  tensors["feature_deviation"] = torch::stack(deviations).to(torch::kCPU);
  return tensors;
}

std::string Scorer::fingerprint() const {
  const auto tensors = all_tensors();
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : tensors) {
    const TensorToWrite part = tensor_to_write(name, tensor);
    views[name] = {part.dtype, part.shape, part.bytes};
  }
  return scorer_digest(views, {{"features", to_string(facts_.features)}});
}

void Scorer::save(const std::filesystem::path& file) const {
  write(file, all_tensors());
}

void Scorer::save_released(const std::filesystem::path& file) const {
  if (facts_.features != ScorerFeatures::kReleased) {
    throw Error(ErrorKind::kConfig, concat("this scorer was trained on ", to_string(facts_.features),
                                           " features, which the authors' code does not compute; train with "
                                           "scorer.features=released to export for it"));
  }
  write(file, judge_tensors());
}

Scorer Scorer::load(const std::filesystem::path& path, const ScorerShape& shape) {
  const ScorerFile stored = ScorerFile::open(path, shape);
  if (stored.released) {
    log_info(path.string() + ": a released judge_model file, read with released features");
  }
  Scorer scorer;
  scorer.facts_ = stored.facts;
  scorer.shape_ = shape;
  const std::int64_t inputs = shape.inputs(stored.facts.features);
  const auto read = [&](const std::string& name) {
    const torch::Tensor values =
        view_tensor(stored.file.at(name)).to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true);
    if (!torch::isfinite(values).all().item<bool>()) {
      throw Error(ErrorKind::kInput, concat(path.string(), ": tensor '", name,
                                            "' holds NaN or Inf: take a checkpoint from before it diverged"));
    }
    return values;
  };
  for (std::int64_t index = 0; index < shape.layers; ++index) {
    Layer layer;
    const auto own = [&](const char* name) {
      return read(judge_tensor_name(shape.number(index), name)).requires_grad_();
    };
    layer.weight1 = own("fc1.weight");
    layer.bias1 = own("fc1.bias");
    layer.weight2 = own("fc2.weight");
    layer.bias2 = own("fc2.bias");
    layer.mean = torch::zeros({shape.kv_heads, inputs});
    layer.deviation = torch::ones({shape.kv_heads, inputs});
    scorer.layers_.push_back(std::move(layer));
  }
  if (stored.has_normalisation) {
    const torch::Tensor mean = read("feature_mean"), deviation = read("feature_deviation");
    for (std::int64_t index = 0; index < shape.layers; ++index)
      scorer.set_normalisation(index, mean[index], deviation[index]);
  }
  return scorer;
}

void warn_if_made_for_other(const std::string& who, const ScorerFacts& facts, const CacheSize& size,
                            const std::string& model_fingerprint) {
  if (facts.window != 0 && facts.window != size.window) {
    log_warning(concat(who, ": trained with window ", facts.window, ", used with ", size.window));
  }
  if (facts.protect_sinks != size.protect_sinks || facts.protect_prompt != size.protect_prompt) {
    log_warning(concat(who, ": trained with protect_sinks ", facts.protect_sinks, " and protect_prompt ",
                       facts.protect_prompt ? "true" : "false", ", used with ", size.protect_sinks, " and ",
                       size.protect_prompt ? "true" : "false"));
  }
  if (!facts.model_fingerprint.empty() && facts.model_fingerprint != model_fingerprint) {
    log_warning(concat(who, ": trained for another model than model.path"));
  }
}

void require_features(const std::string& who, const ScorerFacts& facts, ScorerFeatures features) {
  if (facts.features == features) return;
  const std::string own = to_string(facts.features);
  throw Error(ErrorKind::kConfig,
              concat(who, " was trained on other features (", own, ") than scorer.features (",
                     to_string(features), "): set scorer.features=", own, ", or take another scorer"));
}

}  // namespace foresight
