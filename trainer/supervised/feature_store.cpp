#include "trainer/supervised/feature_store.h"

#include <algorithm>

#include "trainer/base/await_file.h"
#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// A batch of traces by their numbers, and whether all their files are there.
struct ReplayBatch {
  std::vector<std::size_t> traces;
  bool done = true;
};

std::map<std::string, std::string> identity(const Transformer& model, const RecordedTrace& trace,
                                            const CacheSize& size, ScorerFeatures kind) {
  return {{"format", "foresight.features.1"},
          {"model_fingerprint", model.fingerprint()},
          {"dtype", model.dtype_name()},
          {"tokens", tensor_sha256(trace.tokens)},
          {"budget", std::to_string(size.budget)},
          {"window", std::to_string(size.window)},
          {"features", kind == ScorerFeatures::kReleased ? "released" : "normalized"}};
}

bool is_done(const std::filesystem::path& file, const std::map<std::string, std::string>& wanted) {
  if (!std::filesystem::exists(file)) return false;
  try {
    if (SafetensorsFile(file).metadata() == wanted) return true;
    log_info(concat(file.string(), ": made for another model, trace or cache; computing it again"));
  } catch (const Error& error) {
    log_warning(concat("computing again what cannot be read: ", error.what()));
  }
  return false;
}

/// Replays traces of one length together and writes their files.
void replay(const Transformer& model, const std::vector<const RecordedTrace*>& traces,
            const std::vector<std::filesystem::path>& files, const CacheSize& size, ScorerFeatures kind,
            const std::function<void(std::int64_t)>& on_tokens) {
  const ModelShape& shape = model.shape();
  const std::int64_t length = traces.front()->length(), steps = size.steps(length);
  const std::int64_t inputs = 2 * shape.head_dimension + kStatisticsPerHead * shape.group();
  const auto count = static_cast<std::int64_t>(traces.size());
  std::vector<torch::Tensor> tokens;
  std::vector<std::vector<GoldenPlan>> plans;
  for (const RecordedTrace* trace : traces) {
    tokens.push_back(trace->tokens);
    plans.push_back(golden_plans(*trace, size));
  }
  torch::Tensor features =
      torch::empty({count, shape.layers, steps, shape.kv_heads, size.budget, inputs}, torch::kFloat16);
  torch::Tensor oracle = torch::empty({count, shape.layers, steps, shape.kv_heads, size.budget});
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int64_t layer = 0; layer < shape.layers; ++layer) {
      const GoldenPlan& plan = plans[static_cast<std::size_t>(n)][static_cast<std::size_t>(layer)];
      oracle[n][layer].copy_(plan.contribution.neg().transpose(0, 1));  // [S, K, B]
    }
  }
  const EvictionSelector golden = golden_selector(std::move(plans));
  evicted_losses(
      model, torch::stack(tokens), size, /*copies=*/1,
      [&](const EvictionView& view) {
        features.select(1, view.layer).select(1, view.step).copy_(candidate_features(view, kind));
        return golden(view);
      },
      on_tokens);
  for (std::int64_t n = 0; n < count; ++n) {
    const auto i = static_cast<std::size_t>(n);
    write_safetensors(files[i],
                      {tensor_to_write("features", features[n]), tensor_to_write("oracle", oracle[n])},
                      identity(model, *traces[i], size, kind));
  }
}

}  // namespace

FeatureStore::FeatureStore(const std::filesystem::path& folder, const Transformer& model,
                           const std::vector<RecordedTrace>& traces, const CacheSize& size,
                           ScorerFeatures kind, World& world) {
  std::vector<std::filesystem::path> files;
  std::vector<ReplayBatch> batches;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    files.push_back(folder / (traces[i].id + ".safetensors"));
    if (batches.empty() || batches.back().traces.size() == kTracesPerReplay ||
        traces[batches.back().traces.front()].length() != traces[i].length()) {
      batches.emplace_back();
    }
    ReplayBatch& batch = batches.back();
    batch.traces.push_back(i);
    // Rank 0 looks, for all: its digests cost reading every file.
    if (world.leads()) batch.done = batch.done && is_done(files[i], identity(model, traces[i], size, kind));
  }
  std::vector<bool> verdicts;
  for (const ReplayBatch& batch : batches) verdicts.push_back(batch.done);
  verdicts = world.broadcast_flags(verdicts, "replayed traces");
  for (std::size_t b = 0; b < batches.size(); ++b) batches[b].done = verdicts.at(b);
  std::int64_t tokens_missing = 0, tokens_here = 0, done = 0;
  std::vector<std::int64_t> costs;
  for (const ReplayBatch& batch : batches) {
    const auto tokens =
        static_cast<std::int64_t>(batch.traces.size()) * traces[batch.traces.front()].length();
    costs.push_back(batch.done ? 0 : tokens);
  }
  const std::vector<int> rank_of = deal(costs, world.size());
  std::size_t traces_missing = 0;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    if (!batches[b].done) traces_missing += batches[b].traces.size();
    tokens_missing += costs[b];
    if (rank_of[b] == world.rank()) tokens_here += costs[b];
  }
  log_info(concat("supervised: ", traces.size() - traces_missing, " traces are replayed, ", traces_missing,
                  " to do"));
  Progress progress("replay of the golden plan", "tokens", tokens_here);
  bool stopped = false;
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const ReplayBatch& batch = batches[b];
    if (batch.done || rank_of[b] != world.rank()) continue;
    stopped = stop_requested();
    if (stopped) break;
    std::vector<const RecordedTrace*> together;
    std::vector<std::filesystem::path> together_files;
    for (const std::size_t i : batch.traces) {
      together.push_back(&traces[i]);
      together_files.push_back(files[i]);
    }
    replay(model, together, together_files, size, kind,
           [&](std::int64_t tokens) { progress.update(done += tokens); });
  }
  if (world.any(stopped, "replay of the golden plan"))
    throw Error(ErrorKind::kInterrupted, "supervised: stopped; replayed traces are kept, run again to go on");
  progress.finish();
  for (const auto& file : files) {
    await_file(file);
    files_.emplace_back(file);
  }
}

torch::Tensor FeatureStore::tensor(std::int64_t trace, const std::string& name) const {
  return view_tensor(files_.at(static_cast<std::size_t>(trace)).at(name));
}

std::int64_t FeatureStore::steps(std::int64_t trace) const {
  return tensor(trace, "oracle").size(1);
}

torch::Tensor FeatureStore::features(std::int64_t trace, std::int64_t layer, std::int64_t step) const {
  return features(trace, layer)[step];
}

torch::Tensor FeatureStore::features(std::int64_t trace, std::int64_t layer) const {
  return tensor(trace, "features")[layer];
}

torch::Tensor FeatureStore::oracle(std::int64_t trace, std::int64_t layer, std::int64_t step) const {
  return tensor(trace, "oracle")[layer][step];
}

void fit_normalisation(Scorer& scorer, const FeatureStore& store, std::int64_t traces) {
  constexpr double kLeastDeviation = 1e-4;  // a constant feature must not be blown up
  for (std::int64_t layer = 0; layer < scorer.layers(); ++layer) {
    std::vector<torch::Tensor> samples;
    for (std::int64_t trace = 0; trace < std::min(traces, store.traces()); ++trace) {
      heartbeat();
      const torch::Tensor features = store.features(trace, layer).to(torch::kFloat32);  // [S, K, B, F]
      samples.push_back(features.transpose(0, 1).reshape({features.size(1), -1, features.size(3)}));
    }
    const torch::Tensor all = torch::cat(samples, 1);  // [K, n, F]
    scorer.set_normalisation(layer, all.mean(1), all.std(1, /*unbiased=*/false).clamp_min(kLeastDeviation));
  }
}

}  // namespace foresight
