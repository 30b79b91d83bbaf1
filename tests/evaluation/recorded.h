// Recorded traces of the tiny model, and what a policy keeps of them at every eviction.
#pragma once

#include <torch/types.h>

#include <set>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/golden_eviction/random_recording.h"
#include "tests/reference/paths.h"
#include "tests/traces/load_recorded.h"
#include "trainer/evaluation/policies.h"
#include "trainer/eviction/evicted_run.h"

namespace foresight {

/// The cache that these tests evict from.
inline constexpr CacheSize kSize{16, 8};

/// Two recorded traces of the tiny model in a folder of their own, in blocks of `block` tokens.
struct Recorded {
  TemporaryFolder folder;
  Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  std::vector<RecordedTrace> traces;

  explicit Recorded(std::int64_t block = kSize.window) {
    for (std::int64_t i = 0; i < 2; ++i)
      record_random_tokens(model, folder.path(), "evaluation", i, 61, block);
    traces = load_recorded_traces(folder.path(), "evaluation", 2, model.fingerprint(), "none");
  }
};

using Positions = std::set<std::int64_t>;

/// Every eviction of a policy run alone on one trace: kept positions [layer][step][head].
inline std::vector<std::vector<std::vector<Positions>>> captured(const Transformer& model,
                                                                 const RecordedTrace& trace,
                                                                 const Policy& policy,
                                                                 const CacheSize& size = kSize) {
  const std::int64_t layers = model.shape().layers, heads = model.shape().kv_heads;
  std::vector<std::vector<std::vector<Positions>>> kept(static_cast<std::size_t>(layers));
  const EvictionSelector inner = policy.make({&trace});
  evicted_losses(model, stacked_tokens({&trace}), size, 1, [&](const EvictionView& view) {
    const torch::Tensor evicted = inner(view);
    std::vector<Positions> by_head(static_cast<std::size_t>(heads));
    for (std::int64_t head = 0; head < heads; ++head) {
      Positions& own = by_head[static_cast<std::size_t>(head)];
      for (std::int64_t i = 0; i < view.positions.size(2); ++i)
        own.insert(view.positions[0][head][i].item<std::int64_t>());
      for (std::int64_t i = 0; i < size.window; ++i)
        own.erase(view.positions[0][head][evicted[0][head][i].item<std::int64_t>()].item<std::int64_t>());
    }
    kept[static_cast<std::size_t>(view.layer)].push_back(by_head);
    return evicted;
  });
  return kept;
}

}  // namespace foresight
