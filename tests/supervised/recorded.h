// Recorded traces of the tiny model, and their states.
#pragma once

#include <utility>
#include <vector>

#include "tests/base/temporary_folder.h"
#include "tests/golden_eviction/random_recording.h"
#include "tests/reference/paths.h"
#include "tests/traces/load_recorded.h"
#include "trainer/base/progress.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/supervised/behaviour.h"
#include "trainer/supervised/cached_states.h"
#include "trainer/supervised/streamed_states.h"

namespace foresight {

inline constexpr CacheSize kSize{16, 8};

/// Whether stored features are the expected ones: rounded to float16, and with the rounding of sums of order
/// 1 in float32, which differs where traces are replayed together and shows in features near 0.
inline bool same_but_for_storing(const torch::Tensor& stored, const torch::Tensor& expected) {
  return torch::allclose(stored, expected, 0x1p-10, 0x1p-18);
}

/// Recorded traces of the tiny model, of 61, 61 and 48 tokens.
struct Recorded {
  TemporaryFolder folder;
  Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  std::vector<RecordedTrace> traces;
  std::vector<CacheSize> sizes = std::vector<CacheSize>(3, kSize);  // by trace
  ScorerFeatures features = ScorerFeatures::kNormalized;

  Recorded() {
    Progress::set_quiet(true);
    for (const std::int64_t length : {61, 61, 48}) {
      const auto index = static_cast<std::int64_t>(traces.size());
      record_random_tokens(model, folder.path(), "train", index, length, kSize.window);
      traces = load_recorded_traces(folder.path(), "train", index + 1, model.fingerprint(), "none");
    }
  }
  StreamedStates streamed() const { return {model, traces, sizes, features, golden_behaviour()}; }
  StreamedStates streamed_under(const Scorer& scorer) const {
    return {model, traces, sizes, features, scorer_behaviour(scorer)};
  }
  CachedStates cached(std::vector<std::vector<std::int64_t>> evictions) const {
    return cached_under(golden_behaviour(), std::move(evictions));
  }
  CachedStates cached_under(const Behaviour& behaviour,
                            std::vector<std::vector<std::int64_t>> evictions) const {
    return {folder.path() / "states", model,  traces, sizes, features, behaviour,
            std::move(evictions),     alone()};
  }
};

}  // namespace foresight
