// A rank whose one long trace takes longer than runtime.silence_limit_s must not be taken for dead: what
// works on a trace beats in its layers, not only at its end.
#include <torch/types.h>
#include <torch/utils.h>

#include "golden_eviction/oracle_stage.h"
#include "golden_eviction/recorded_plan.h"
#include "tests/base/temporary_folder.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/reference/paths.h"
#include "tests/traces/load_recorded.h"
#include "trainer/base/heartbeat.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/eviction/full_run.h"
#include "trainer/traces/recorded_trace.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Beats of this thread while `work` runs.
std::int64_t beats_of(const std::function<void()>& work) {
  std::int64_t beats = 0;
  set_heartbeat([&] { ++beats; });
  work();
  set_heartbeat({});
  return beats;
}

}  // namespace

TEST_CASE("heartbeat: passes, recording and plans of one trace beat in every layer", "[golden_eviction]") {
  const TemporaryFolder folder;
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const std::int64_t layers = model.shape().layers, heads = model.shape().kv_heads, length = 61, window = 8;
  const torch::Tensor tokens = torch::arange(length, torch::kInt64);
  const CacheSize size{16, window};
  CHECK(beats_of([&] { full_pass(model, tokens, window); }) >= layers);
  // Attention that is watched is computed in blocks of 8 queries, of which the last is shorter.
  const AttentionObserver nobody = [](std::int64_t, const torch::Tensor&) {};
  CHECK(beats_of([&] { full_pass(model, tokens, window, {.attention = nobody}); }) >=
        layers * (1 + (length + window - 1) / window));
  CHECK(beats_of([&] { FullRun(model, tokens.unsqueeze(0), window).states(0, window); }) >= layers);
  // 24 tokens before the first eviction, then one window a pass.
  const EvictionSelector first = [&](const EvictionView& view) {
    return torch::arange(window).expand({view.keys.size(0), view.keys.size(1), window}).contiguous();
  };
  CHECK(beats_of([&] { evicted_losses(model, tokens.unsqueeze(0), size, 1, first); }) >=
        layers * (1 + (length - 24 + window - 1) / window));

  TokenRow row;
  row.source = "test";
  for (std::int64_t t = 0; t < length; ++t) row.tokens.push_back(static_cast<std::int32_t>(t));
  row.completion.assign(static_cast<std::size_t>(length), 1);
  const OracleProvenance provenance{.model_fingerprint = model.fingerprint(),
                                    .tokenizer_fingerprint = "none",
                                    .config_yaml = "",
                                    .code_version = "test",
                                    .dtype = "float32"};
  const auto file = oracle_file_path(folder.path(), "train", 0);
  // A layer of the pass, its block of up to 128 queries, and what is written of it.
  CHECK(beats_of([&] { record_trace(model, row, "train-000000", window, 0, provenance, file); }) >=
        layers * 3);
  const auto traces = load_recorded_traces(folder.path(), "train", 1, model.fingerprint(), "none");
  CHECK(beats_of([&] { golden_evictions(traces.front(), size); }) >= layers * (1 + heads));
}
