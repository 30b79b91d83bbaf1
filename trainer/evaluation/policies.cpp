#include "trainer/evaluation/policies.h"

#include "golden_eviction/recorded_plan.h"
#include "trainer/base/error.h"
#include "trainer/base/random.h"
#include "trainer/base/text.h"
#include "trainer/eviction/protection.h"
#include "trainer/eviction/rule_policies.h"
#include "trainer/scorer/entry_scores.h"

namespace foresight {
namespace {

/// Protected entries of the policies that always protect the start: as many as StreamingLLM keeps.
constexpr std::int64_t kProtectedSinks = 4;

/// Uniform noise [R, K, B] that depends only on (seed, trace, layer, step), not on other rows; `purpose`
/// names the stream.
std::function<torch::Tensor(const EvictionView&)> random_noise(
    const std::vector<const RecordedTrace*>& traces, std::int64_t seed, const std::string& purpose) {
  std::vector<std::string> ids;
  for (const RecordedTrace* trace : traces) ids.push_back(trace->id);
  return [ids, seed, purpose](const EvictionView& view) {
    torch::Tensor noise = torch::empty({view.keys.size(0), view.keys.size(1), view.budget});
    const std::int64_t per_row = view.keys.size(1) * view.budget;
    float* data = noise.data_ptr<float>();
    for (std::size_t row = 0; row < ids.size(); ++row) {
      RandomStream stream(static_cast<std::uint64_t>(seed), purpose + " " + ids[row],
                          {view.layer, view.step});
      for (std::int64_t i = 0; i < per_row; ++i) *data++ = static_cast<float>(stream.uniform());
    }
    return noise.to(view.keys.device());
  };
}

}  // namespace

Policy rule_policy(const std::string& name, const CacheSize& size, std::int64_t seed) {
  using Scores = torch::Tensor (*)(const EvictionView&);
  const auto evict = [protects = name.ends_with("_protected")](const EvictionView& view,
                                                               const torch::Tensor& scores) {
    return evict_highest(protects ? protect_also(view, kProtectedSinks) : view, scores);
  };
  const auto by_score = [&](Scores scores) {
    return Policy{name, [scores, evict](const std::vector<const RecordedTrace*>&) -> EvictionSelector {
                    return [scores, evict](const EvictionView& view) { return evict(view, scores(view)); };
                  }};
  };
  if (name == "streaming_llm" || name == "recency_protected")
    return by_score([](const EvictionView& view) { return streaming_llm_scores(view); });
  if (name == "h2o") return by_score(&h2o_scores);
  if (name == "snapkv") return by_score([](const EvictionView& view) { return snapkv_scores(view); });
  if (name == "tova") {
    return by_score([](const EvictionView& view) { return tova_scores(view, attention_of_last(view, 1)); });
  }
  if (name == "keydiff") return by_score(&keydiff_scores);
  if (name == "rkv") {
    return by_score(
        [](const EvictionView& view) { return rkv_scores(view, attention_of_last(view, view.window)); });
  }
  if (name == "random" || name == "random_protected") {
    return {name, [seed, evict](const std::vector<const RecordedTrace*>& traces) {
              return [noise = random_noise(traces, seed, "random policy"), evict](const EvictionView& view) {
                return evict(view, random_scores(view, noise(view)));
              };
            }};
  }
  if (name == "vase") {
    return {name, [seed, evict](const std::vector<const RecordedTrace*>& traces) {
              return [noise = random_noise(traces, seed, "vase policy"), evict](const EvictionView& view) {
                return evict(view, vase_scores(view, attention_of_last(view, view.window), noise(view)));
              };
            }};
  }
  if (name == "golden") {
    return {name, [size](const std::vector<const RecordedTrace*>& traces) {
              return golden_selector(golden_evictions(traces, size));
            }};
  }
  throw Error(
      ErrorKind::kConfig,
      concat("policy '", name,
             "' is not known (full, golden, supervised, grpo, random, random_protected, "
             "recency_protected, streaming_llm, h2o, snapkv, tova, keydiff, rkv, vase, or the path of a "
             "scorer's .safetensors)"));
}

Policy scorer_policy(const std::string& name, const Scorer& scorer) {
  return {name, [held = scorer.clone()](const std::vector<const RecordedTrace*>&) {
            return scorer_selector(held);
          }};
}

EvictionSelector side_by_side(std::vector<EvictionSelector> selectors) {
  if (selectors.size() == 1) return selectors.front();
  return [selectors = std::move(selectors)](const EvictionView& view) {
    const std::int64_t rows = view.keys.size(0) / static_cast<std::int64_t>(selectors.size());
    std::vector<torch::Tensor> evicted;
    for (std::size_t i = 0; i < selectors.size(); ++i) {
      evicted.push_back(selectors[i](view.rows(static_cast<std::int64_t>(i) * rows, rows)));
    }
    return torch::cat(evicted);
  };
}

}  // namespace foresight
