#include "trainer/evaluation/kept_attention.h"

#include <algorithm>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

void KeptAttention::add(const KeptAttention& other) {
  mass = mass.defined() ? mass + other.mass : other.mass;
  golden_overlap += other.golden_overlap;
  entries.add(other.entries);
  evictions += other.evictions;
}

namespace {

/// Prompt tokens of each trace: 0 for a trace without a completion, which is plain text.
std::vector<std::int64_t> prompts_of(const std::vector<const RecordedTrace*>& traces) {
  std::vector<std::int64_t> prompts;
  for (const RecordedTrace* trace : traces) {
    const std::int64_t tokens = trace->prompt_tokens();
    prompts.push_back(tokens < trace->length() ? tokens : 0);
  }
  return prompts;
}

}  // namespace

EvictionWatcher::EvictionWatcher(const std::vector<const RecordedTrace*>& traces, const CacheSize& size,
                                 std::int64_t policies, std::int64_t layers, std::int64_t kv_heads,
                                 std::int64_t strip_bytes)
    : size_(size),
      policies_(policies),
      traces_(static_cast<std::int64_t>(traces.size())),
      layers_(layers),
      kv_heads_(kv_heads),
      length_(traces.front()->length()),
      attention_(traces, size.window, strip_bytes),
      entries_(prompts_of(traces), size, policies, layers, kv_heads, length_),
      mass_(torch::zeros({policies, layers, kv_heads}, torch::kFloat64)),
      overlap_(torch::zeros({policies}, torch::kFloat64)),
      held_(torch::zeros({policies, traces_, length_})) {
  std::vector<std::vector<RecordedCut>> golden;
  for (const RecordedTrace* trace : traces) golden.push_back(golden_cuts(*trace, size, cut_entries(size)));
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(layers); ++layer) {
    std::vector<torch::Tensor> evicted, nearest;
    for (std::vector<RecordedCut>& trace : golden) {
      evicted.push_back(std::exchange(trace.at(layer).evicted, {}));
      nearest.push_back(std::exchange(trace.at(layer).nearest_kept, {}));
    }
    golden_.push_back({.evicted = torch::stack(evicted),
                       .nearest = torch::stack(nearest),
                       .live = torch::arange(size.budget).repeat({traces_, kv_heads, 1})});
  }
}

EvictionSelector EvictionWatcher::watching(EvictionSelector inner) {
  return [this, inner = std::move(inner)](const EvictionView& view) {
    torch::Tensor evicted = inner(view);
    observe(view, evicted);
    return evicted;
  };
}

EvictionWatcher::GoldenStep EvictionWatcher::golden_step(std::int64_t layer) {
  GoldenLayer& golden = golden_[static_cast<std::size_t>(layer)];
  const std::int64_t budget = size_.budget, window = size_.window;
  const torch::Tensor evicted = golden.evicted.select(2, golden.step).to(torch::kInt64);  // [N, K, W]
  torch::Tensor keep = torch::ones(golden.live.sizes(), torch::kBool);
  keep.scatter_(2, torch::searchsorted(golden.live, evicted.contiguous()), false);
  const torch::Tensor kept = golden.live.masked_select(keep).view({traces_, kv_heads_, budget - window});
  const torch::Tensor nearest = golden.nearest.select(2, golden.step).to(torch::kInt64);  // [N, K, h]
  const std::int64_t next = std::min(cut_entries(size_), window);
  const std::int64_t seen = size_.seen_at_step(golden.step++);
  const torch::Tensor newest = torch::arange(seen - window, seen).expand({traces_, kv_heads_, window});
  golden.live = torch::cat({kept, newest}, 2);
  return {kept, {.evicted = evicted.narrow(2, window - next, next), .kept = nearest}};
}

void EvictionWatcher::observe(const EvictionView& view, const torch::Tensor& evicted) {
  const std::int64_t rows = policies_ * traces_, budget = size_.budget, window = size_.window;
  const std::int64_t seen = size_.seen_at_step(view.step);
  const std::int64_t expected = golden_.at(static_cast<std::size_t>(view.layer)).step;
  if (view.step != expected) {
    throw Error(ErrorKind::kInternal, concat("kept attention: step ", view.step, " of layer ", view.layer,
                                             " came where step ", expected, " was due"));
  }
  torch::Tensor keep = torch::ones({rows, kv_heads_, budget}, torch::kBool);
  keep.scatter_(2, evicted.to(torch::kCPU), false);
  const torch::Tensor positions = view.positions.narrow(2, 0, budget).to(torch::kCPU);
  const torch::Tensor kept =  // [P, N, K, B - W]
      positions.masked_select(keep).view({policies_, traces_, kv_heads_, budget - window});
  const auto for_every_policy = [&](const torch::Tensor& values) {  // [N, K, L] -> [P, N, K, L]
    return values.unsqueeze(0).expand({policies_, traces_, kv_heads_, length_});
  };
  const torch::Tensor next_window = attention_.window(view.layer, seen / window);  // [N, K, L]
  const torch::Tensor newest =  // the attention on entries that no policy can evict, and on the window's own
      next_window.narrow(2, seen - window, length_ - seen + window).sum(2, false, torch::kFloat64);
  const torch::Tensor on_kept =
      for_every_policy(next_window).gather(3, kept).sum(3, false, torch::kFloat64);  // [P, N, K]
  mass_.select(1, view.layer).add_((on_kept + newest).sum(1));
  const GoldenStep golden_now = golden_step(view.layer);
  entries_.observe(view, evicted, kept, golden_now.cut);
  if (budget > window) {
    const torch::Tensor golden =  // [N, K, L]
        torch::zeros({traces_, kv_heads_, length_}, torch::kBool).scatter_(2, golden_now.kept, true);
    const torch::Tensor shared = for_every_policy(golden).gather(3, kept).to(torch::kFloat64);
    overlap_.add_(shared.mean({2, 3}).sum(1));
  } else {
    overlap_.add_(static_cast<double>(traces_));
  }
  if (view.step + 1 == size_.steps(length_)) {
    const torch::Tensor by_row = kept.flatten(2);  // [P, N, K (B - W)]
    held_.scatter_add_(2, by_row, torch::ones(by_row.sizes()));
    held_.narrow(2, seen - window, length_ - seen + window).add_(static_cast<double>(kv_heads_));
  }
}

std::vector<KeptAttention> EvictionWatcher::results() const {
  const std::int64_t evictions = size_.steps(length_) * traces_;
  std::vector<KeptEntries> entries = entries_.results();
  std::vector<KeptAttention> results;
  for (std::int64_t p = 0; p < policies_; ++p) {
    results.push_back({.mass = mass_[p].clone(),
                       .golden_overlap = overlap_[p].item<double>() / static_cast<double>(layers_),
                       .evictions = evictions,
                       .entries = std::move(entries[static_cast<std::size_t>(p)])});
  }
  return results;
}

torch::Tensor EvictionWatcher::held() const {
  return held_ / static_cast<double>(layers_ * kv_heads_);
}

}  // namespace foresight
