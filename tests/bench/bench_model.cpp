#include "tests/bench/bench_model.h"

#include <torch/cuda.h>

#include <chrono>
#include <map>
#include <utility>

#include "golden_eviction/oracle_stage.h"
#include "tests/base/temporary_folder.h"
#include "tests/traces/load_recorded.h"
#include "trainer/base/memory.h"
#include "trainer/base/text.h"
#include "trainer/eviction/full_cache.h"

namespace foresight::bench {

BenchOptions& bench_options() {
  static BenchOptions options;
  return options;
}

const Transformer& bench_model() {
  static const Transformer model = Transformer::load(
      bench_options().model, resolve_model_options(bench_options().device, bench_options().dtype, "auto"));
  return model;
}

torch::Tensor bench_tokens(std::int64_t length, std::int64_t seed) {
  RandomStream random(1, "benchmark tokens", {seed});
  torch::Tensor tokens = torch::empty({length}, torch::kInt64);
  std::int64_t* data = tokens.data_ptr<std::int64_t>();
  const std::int64_t vocabulary = bench_model().shape().vocabulary_size;
  for (std::int64_t i = 0; i < length; ++i) data[i] = random.below(vocabulary);
  return tokens;
}

TokenRow bench_row(std::int64_t length, std::int64_t seed) {
  TokenRow row;
  const torch::Tensor tokens = bench_tokens(length, seed);
  for (std::int64_t i = 0; i < length; ++i)
    row.tokens.push_back(static_cast<std::int32_t>(tokens[i].item<std::int64_t>()));
  row.completion.assign(row.tokens.size(), true);
  return row;
}

OracleProvenance bench_provenance() {
  return {bench_model().fingerprint(), "benchmark", "", "", bench_model().dtype_name()};
}

std::int64_t bench_query_block() {
  return default_query_block(bench_model().options().device);
}

const RecordedTrace& bench_trace(std::int64_t length, std::int64_t seed) {
  static const TemporaryFolder folder;
  static std::map<std::pair<std::int64_t, std::int64_t>, RecordedTrace> traces;
  const auto found = traces.find({length, seed});
  if (found != traces.end()) return found->second;
  constexpr std::int64_t kBlockTokens = 64;
  const Transformer& model = bench_model();
  const auto place = folder.path() / concat(length, "-", seed);
  record_trace(model, bench_row(length, seed), "train-000000", kBlockTokens, 0, bench_provenance(),
               place / "train-000000.h5");
  auto recorded = load_recorded_traces(place, "train", 1, model.fingerprint(), "benchmark").front();
  recorded.id = concat("trace-", seed);
  return traces.emplace(std::pair{length, seed}, std::move(recorded)).first->second;
}

const Scorer& bench_scorer() {
  static const Scorer scorer = Scorer::random(bench_model().shape(), {}, RandomStream(1, "benchmark scorer"))
                                   .to(bench_model().options().device);
  return scorer;
}

double peak_beyond(std::int64_t before) {
  return static_cast<double>(std::max<std::int64_t>(0, peak_resident_bytes() - before));
}

void wait_for_device() {
  if (bench_model().options().device.is_cuda()) torch::cuda::synchronize();
}

double seconds_of(const std::function<void()>& work) {
  const auto started = std::chrono::steady_clock::now();
  work();
  wait_for_device();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

}  // namespace foresight::bench
