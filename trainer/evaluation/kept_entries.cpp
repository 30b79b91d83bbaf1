#include "trainer/evaluation/kept_entries.h"

#include <algorithm>

namespace foresight {
namespace {

/// Adds b to a; either may be undefined or shorter in its last dimension.
torch::Tensor sum_of(const torch::Tensor& a, const torch::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  torch::Tensor longer = (a.size(-1) >= b.size(-1) ? a : b).clone();
  const torch::Tensor& other = a.size(-1) >= b.size(-1) ? b : a;
  longer.narrow(-1, 0, other.size(-1)).add_(other);
  return longer;
}

/// Which of `wanted` [P, N, K, h] stand in `ascending` [P, N, K, n].
torch::Tensor found_in(const torch::Tensor& ascending, const torch::Tensor& wanted) {
  const torch::Tensor place =
      torch::searchsorted(ascending.contiguous(), wanted.contiguous()).clamp_max(ascending.size(-1) - 1);
  return ascending.gather(-1, place) == wanted;
}

}  // namespace

void KeptEntries::add(const KeptEntries& other) {
  boundary += other.boundary;
  boundary_evictions += other.boundary_evictions;
  churn += other.churn;
  churn_evictions += other.churn_evictions;
  prompt_live = sum_of(prompt_live, other.prompt_live);
  prompt_held_by = sum_of(prompt_held_by, other.prompt_held_by);
}

std::vector<torch::Tensor> KeptEntries::pack() const {
  return {torch::tensor({boundary, static_cast<double>(boundary_evictions), churn,
                         static_cast<double>(churn_evictions)},
                        torch::kFloat64),
          prompt_live, prompt_held_by};
}

KeptEntries KeptEntries::unpack(const torch::Tensor* tensors) {
  const auto number = [&](std::int64_t i) { return tensors[0][i].item<double>(); };
  return {.boundary = number(0),
          .boundary_evictions = static_cast<std::int64_t>(number(1)),
          .churn = number(2),
          .churn_evictions = static_cast<std::int64_t>(number(3)),
          .prompt_live = tensors[1],
          .prompt_held_by = tensors[2]};
}

std::int64_t cut_entries(const CacheSize& size) {
  return std::max<std::int64_t>(1, std::min(size.window / 2, size.budget - size.window));
}

KeptEntriesCounter::KeptEntriesCounter(const std::vector<std::int64_t>& prompt_tokens, const CacheSize& size,
                                       std::int64_t policies, std::int64_t layers, std::int64_t kv_heads,
                                       std::int64_t length)
    : size_(size),
      policies_(policies),
      traces_(static_cast<std::int64_t>(prompt_tokens.size())),
      layers_(layers),
      kv_heads_(kv_heads),
      steps_(size.steps(length)),
      prompt_(torch::tensor(prompt_tokens, torch::kInt64)),
      boundary_(torch::zeros({policies}, torch::kFloat64)),
      churn_(torch::zeros({policies}, torch::kFloat64)),
      live_(torch::zeros({policies, steps_}, torch::kFloat64)),
      held_by_(torch::zeros({policies, kv_heads}, torch::kFloat64)) {}

void KeptEntriesCounter::observe(const EvictionView& view, const torch::Tensor& evicted,
                                 const torch::Tensor& kept, const GoldenCut& cut) {
  count_prompt(view, kept);
  if (size_.budget == size_.window) return;
  const auto open = static_cast<double>(size_.budget - size_.window);
  // The first B - W entries are those that the previous eviction kept; its newest are candidates since.
  if (view.step > 0) {
    const torch::Tensor gone = (evicted.to(torch::kCPU) < size_.budget - size_.window).to(torch::kFloat64);
    const torch::Tensor by_row = gone.sum(2).mean(1).view({policies_, traces_});
    churn_.add_(by_row.sum(1) / open);
  }
  const auto for_every_policy = [&](const torch::Tensor& of_traces) {
    return of_traces.unsqueeze(0).expand({policies_, traces_, kv_heads_, of_traces.size(2)});
  };
  const torch::Tensor counts = for_every_policy(cut.kept) >= 0;
  const torch::Tensor right = found_in(kept, for_every_policy(cut.evicted)).logical_not().sum({2, 3}) +
                              found_in(kept, for_every_policy(cut.kept)).logical_and(counts).sum({2, 3});
  const torch::Tensor all = counts.sum({2, 3}) + kv_heads_ * cut.evicted.size(2);
  boundary_.add_((right.to(torch::kFloat64) / all).sum(1));
}

void KeptEntriesCounter::count_prompt(const EvictionView& view, const torch::Tensor& kept) {
  const std::int64_t seen = size_.seen_at_step(view.step);
  const torch::Tensor prompt = prompt_.clamp_max(seen).to(torch::kFloat64);  // [N] that a trace has seen
  const torch::Tensor newest = (prompt_.clamp_max(seen) - (seen - size_.window)).clamp_min(0);  // of them
  const torch::Tensor of_prompt = kept < prompt_.view({1, traces_, 1, 1});
  const torch::Tensor live = of_prompt.sum(3).to(torch::kFloat64).mean(2) + newest;  // [P, N]
  live_.select(1, view.step).add_((live / prompt.clamp_min(1)).sum(1));
  if (view.step + 1 < steps_) return;
  for (std::int64_t n = 0; n < traces_; ++n) {
    const std::int64_t tokens = std::min(prompt_[n].item<std::int64_t>(), seen);
    if (tokens == 0) continue;
    torch::Tensor heads = torch::zeros({policies_, tokens}, torch::kInt64);  // that hold each token
    const torch::Tensor by_row = kept.select(1, n).flatten(1);               // [P, K (B - W)]
    const torch::Tensor within = by_row < tokens;
    heads.scatter_add_(1, by_row.masked_fill(within.logical_not(), 0), within.to(torch::kInt64));
    if (tokens > seen - size_.window)
      heads.narrow(1, seen - size_.window, tokens - seen + size_.window).fill_(kv_heads_);
    for (std::int64_t least = 1; least <= kv_heads_; ++least)
      held_by_.select(1, least - 1).add_((heads >= least).to(torch::kFloat64).mean(1));
  }
}

std::vector<KeptEntries> KeptEntriesCounter::results() const {
  const std::int64_t with_prompt = (prompt_ > 0).sum().item<std::int64_t>();
  const std::int64_t choices = size_.budget > size_.window ? traces_ : 0;
  const auto layers = static_cast<double>(layers_);
  std::vector<KeptEntries> results;
  for (std::int64_t p = 0; p < policies_; ++p) {
    KeptEntries own{.boundary = boundary_[p].item<double>() / layers,
                    .boundary_evictions = steps_ * choices,
                    .churn = churn_[p].item<double>() / layers,
                    .churn_evictions = std::max<std::int64_t>(0, steps_ - 1) * choices,
                    .prompt_live = {},
                    .prompt_held_by = {}};
    if (steps_ > 0) {
      const torch::Tensor traces = torch::full({steps_}, static_cast<double>(with_prompt), torch::kFloat64);
      own.prompt_live = torch::stack({live_[p] / layers, traces});
      own.prompt_held_by = held_by_[p] / layers;
    }
    results.push_back(std::move(own));
  }
  return results;
}

}  // namespace foresight
