#include "trainer/eviction/rule_policies.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/kernels/highest.h"

namespace foresight {
namespace {

void check_last_dimension(const torch::Tensor& tensor, std::int64_t expected, const EvictionView& view,
                          const char* name) {
  if (tensor.defined() && tensor.dim() > 0 && tensor.size(-1) == expected) return;
  throw Error(
      ErrorKind::kInternal,
      concat("eviction view of layer ", view.layer, " step ", view.step, ": ", name, " has shape ",
             tensor.defined() ? tensor.sizes() : torch::IntArrayRef{}, ", expected the last dimension ",
             expected, " (budget ", view.budget, " + window ", view.window, ")"));
}

std::int64_t live_entries(const EvictionView& view) {
  return view.budget + view.window;
}

/// The candidates' part of a tensor [..., N].
torch::Tensor candidates(const torch::Tensor& tensor, const EvictionView& view, const char* name) {
  check_last_dimension(tensor, live_entries(view), view, name);
  return tensor.detach().narrow(-1, 0, view.budget);
}

/// Keys or values [R, K, N, d] as float32.
torch::Tensor float_entries(const EvictionView& view, const torch::Tensor& entries, const char* name) {
  if (!entries.defined() || entries.dim() != 4 || entries.size(2) != live_entries(view)) {
    throw Error(ErrorKind::kInternal, concat("eviction view of layer ", view.layer, " step ", view.step, ": ",
                                             name, " must be [R, K, ", live_entries(view), ", d], got ",
                                             entries.defined() ? entries.sizes() : torch::IntArrayRef{}));
  }
  return entries.detach().to(torch::kFloat32);
}

torch::Tensor float_keys(const EvictionView& view) {
  return float_entries(view, view.keys, "keys");
}

/// Running maximum over `kernel` neighbours, same padding: [R, K, B] to [R, K, B].
torch::Tensor pool_neighbours(const torch::Tensor& importance, std::int64_t kernel) {
  if (kernel < 1 || kernel % 2 == 0) {
    throw Error(ErrorKind::kInternal,
                concat("eviction rule: pooling kernel must be odd and at least 1, got ", kernel));
  }
  return torch::max_pool1d(importance, kernel, /*stride=*/1, /*padding=*/kernel / 2);
}

/// R-KV's importance [R, K, B] before pooling; `attention` [R, K, g, W, B] to the candidates.
torch::Tensor rkv_importance(const torch::Tensor& attention) {
  const auto merged = std::get<0>(attention.max(/*dim=*/2));  // [R, K, W, B]
  // Dividing by the sum is the softmax of the log-probabilities; the floor keeps a query that sees no
  // candidate at 0.
  const auto total = merged.sum(-1, /*keepdim=*/true).clamp_min(std::numeric_limits<float>::min());
  return (merged / total).mean(/*dim=*/2);
}

/// R-KV's redundancy [K, B] of one row; `keys` [K, N, d].
torch::Tensor rkv_redundancy(const torch::Tensor& keys, std::int64_t budget, double threshold) {
  const std::int64_t entries = keys.size(1);
  const auto unit = keys / (keys.norm(2, -1, /*keepdim=*/true) + 1e-8);
  auto similarity = torch::matmul(unit, unit.transpose(1, 2));  // [K, N, N]
  similarity.diagonal(0, 1, 2).zero_();
  const auto index = torch::arange(entries, keys.options().dtype(torch::kInt64));
  const auto newest_similar =
      torch::where(similarity > threshold, index, torch::zeros_like(index)).amax(-1, true);
  similarity.scatter_(-1, newest_similar, 0.0);
  return torch::softmax(similarity.mean(/*dim=*/1), -1).narrow(-1, 0, budget);
}

}  // namespace

torch::Tensor streaming_llm_scores(const EvictionView& view, std::int64_t sinks) {
  const auto positions = candidates(view.positions, view, "positions");  // [R, K, B]
  return positions.neg()
      .to(torch::kFloat32)
      .masked_fill(positions < sinks, std::numeric_limits<float>::lowest());
}

torch::Tensor h2o_scores(const EvictionView& view) {
  return candidates(view.cumulative, view, "cumulative").to(torch::kFloat32).mean(/*dim=*/2).neg();
}

torch::Tensor snapkv_scores(const EvictionView& view, std::int64_t kernel) {
  const auto sum =
      candidates(view.window_statistics, view, "window_statistics").select(3, kernels::kSum);  // [R, K, g, B]
  return pool_neighbours(sum.mean(/*dim=*/2) / static_cast<double>(view.window), kernel).neg();
}

torch::Tensor tova_scores(const EvictionView& view, const torch::Tensor& attention) {
  return candidates(attention, view, "attention").select(/*dim=*/3, -1).mean(/*dim=*/2).neg();
}

torch::Tensor keydiff_scores(const EvictionView& view) {
  const auto keys = float_keys(view);  // [R, K, N, d]
  const auto unit = keys / keys.norm(2, -1, /*keepdim=*/true).clamp_min(1e-12);
  const auto anchor = unit.mean(/*dim=*/2, /*keepdim=*/true);  // [R, K, 1, d]
  const auto anchor_length = anchor.norm(2, -1).clamp_min(1e-8);
  return ((unit * anchor).sum(-1) / anchor_length).narrow(-1, 0, view.budget);
}

torch::Tensor rkv_scores(const EvictionView& view, const torch::Tensor& attention,
                         const RkvOptions& options) {
  const auto keys = float_keys(view);
  std::vector<torch::Tensor> rows;
  rows.reserve(static_cast<std::size_t>(keys.size(0)));
  for (std::int64_t row = 0; row < keys.size(0); ++row) {  // one row at a time: K*N*N floats, not R*K*N*N
    rows.push_back(rkv_redundancy(keys[row], view.budget, options.similarity_threshold));
  }
  const auto redundancy = torch::stack(rows);  // [R, K, B]
  const auto importance =
      pool_neighbours(rkv_importance(candidates(attention, view, "attention")), options.kernel);
  return redundancy * (1.0 - options.importance_weight) - importance * options.importance_weight;
}

torch::Tensor vase_scores(const EvictionView& view, const torch::Tensor& attention,
                          const torch::Tensor& noise, const VaseOptions& options) {
  check_last_dimension(noise, view.budget, view, "noise");
  const auto own = candidates(attention, view, "attention");  // [R, K, g, W, B]
  const auto total = own.sum(-1, /*keepdim=*/true).clamp_min(std::numeric_limits<float>::min());
  const auto mean = (own / total).mean(/*dim=*/3);  // [R, K, g, B]
  const auto pooled = torch::avg_pool1d(mean.flatten(0, 1), options.kernel, /*stride=*/1,
                                        /*padding=*/options.kernel / 2);
  const auto weights = pooled.view(mean.sizes()).mean(/*dim=*/2);  // [R, K, B]
  constexpr float kTiny = std::numeric_limits<float>::min();
  const auto arrival = noise.detach().to(torch::kFloat32).clamp_min(kTiny).log().neg().clamp_min(kTiny).log();
  const auto scores = arrival - weights.clamp_min(kTiny).log();

  const auto values = float_entries(view, view.values, "values").narrow(2, 0, view.budget);
  const auto sinks = candidates(view.positions, view, "positions") < options.sinks;
  const auto range = (values.amax(-1) - values.amin(-1))
                         .masked_fill(sinks, std::numeric_limits<float>::infinity());  // [R, K, B]
  const std::int64_t asked = options.large < 0 ? view.budget / 4 : options.large;
  const std::int64_t large = std::min(asked, view.budget - view.window);
  if (large == 0) return scores;
  const auto widest = highest_entries(range, large);
  return scores.scatter(2, widest, std::numeric_limits<float>::lowest());
}

torch::Tensor random_scores(const EvictionView& view, const torch::Tensor& noise) {
  check_last_dimension(noise, view.budget, view, "noise");
  return noise.detach().to(torch::kFloat32);
}

torch::Tensor highest_entries(const torch::Tensor& scores, std::int64_t count) {
  const std::int64_t entries = scores.dim() > 0 ? scores.size(-1) : 0;
  if (count < 1 || count > entries) {
    throw Error(ErrorKind::kInternal,
                concat("eviction: ", count, " entries to evict from ", entries, " candidates"));
  }
  return kernels::highest(scores, count);
}

}  // namespace foresight
