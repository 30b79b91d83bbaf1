#include "golden_eviction/oracle_stage.h"

#include <chrono>
#include <optional>

#include "data/oracle_file.h"
#include "golden_eviction/attention_recorder.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/config/load.h"
#include "trainer/config/run_layout.h"
#include "trainer/eviction/full_run.h"
#include "trainer/training/metrics.h"

namespace foresight {
namespace {

/// Queries whose attention is computed at once: a multiple of the recorded block.
std::int64_t query_block(std::int64_t block_tokens, const torch::Device& device) {
  return std::max(block_tokens, default_query_block(device) / block_tokens * block_tokens);
}

void require_finite(const torch::Tensor& values, const std::string& what, const std::string& trace_id) {
  const torch::Tensor finite = torch::isfinite(values);
  if (finite.all().item<bool>()) return;
  const auto token = (finite.logical_not()).nonzero()[0].item<std::int64_t>();
  throw Error(ErrorKind::kNumeric, concat("trace ", trace_id, ": ", what, " of token ", token,
                                          " is not finite: check the model's weights and runtime.dtype"));
}

/// True if `file` already holds this trace.
bool is_recorded(const std::filesystem::path& file, const TokenRow& trace, const OracleProvenance& provenance,
                 std::int64_t block_tokens) {
  if (!std::filesystem::exists(file)) return false;
  std::optional<OracleReader> reader;
  try {
    reader.emplace(file);
  } catch (const Error& error) {
    log_warning(concat("recording a trace again, as its file cannot be read: ", error.what()));
    return false;
  }
  require_same_source(*reader, provenance.model_fingerprint, provenance.tokenizer_fingerprint);
  const bool same = reader->trace().token_ids == trace.tokens &&
                    reader->dimensions().block_tokens == block_tokens &&
                    reader->provenance().dtype == provenance.dtype;
  if (same) return true;
  throw Error(ErrorKind::kInput,
              concat(file.string(),
                     ": holds other tokens, another block size or another dtype than this "
                     "config gives (data, oracle or runtime changed): choose another `output`, or remove "
                     "the run's oracle folder"));
}

/// A trace that is still to be recorded.
struct MissingTrace {
  const TokenRow* trace;
  std::string id;
  std::filesystem::path file;

  std::int64_t tokens() const { return static_cast<std::int64_t>(trace->tokens.size()); }
};

struct Inventory {
  std::vector<MissingTrace> missing;
  std::int64_t recorded = 0, tokens_missing = 0;
};

/// Which traces are recorded and which are missing. Rank 0 reads every file and tells the others.
Inventory take_inventory(const std::vector<TraceSplit>& splits, const std::filesystem::path& folder,
                         const OracleProvenance& provenance, std::int64_t block_tokens, World& world) {
  std::vector<MissingTrace> all;
  for (const TraceSplit& split : splits) {
    for (std::size_t i = 0; i < split.traces.size(); ++i) {
      const auto file = oracle_file_path(folder, split.name, static_cast<std::int64_t>(i));
      all.push_back({&split.traces[i], file.stem().string(), file});
    }
  }
  std::vector<bool> recorded;
  if (world.leads()) {
    for (const MissingTrace& item : all)
      recorded.push_back(is_recorded(item.file, *item.trace, provenance, block_tokens));
  }
  recorded = world.broadcast_flags(recorded, "recorded traces");
  Inventory inventory;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (recorded.at(i)) {
      ++inventory.recorded;
      continue;
    }
    inventory.tokens_missing += all[i].tokens();
    inventory.missing.push_back(std::move(all[i]));
  }
  return inventory;
}

/// The traces of this rank. The cost of attention is the square of a trace's length, the rest is linear; for
/// long traces the square dominates.
std::vector<MissingTrace> own_share(const std::vector<MissingTrace>& missing, World& world) {
  constexpr std::int64_t kLinearTokens = 4096;  // at this length both cost about the same in small models
  std::vector<std::int64_t> costs;
  for (const MissingTrace& item : missing) costs.push_back(item.tokens() * (kLinearTokens + item.tokens()));
  const std::vector<int> rank_of = deal(costs, world.size());
  std::vector<MissingTrace> own;
  for (std::size_t i = 0; i < missing.size(); ++i) {
    if (rank_of[i] == world.rank()) own.push_back(missing[i]);
  }
  return own;
}

/// oracle/metrics.jsonl: rank 0 writes its own rows at once, and those of the others at the end.
class OracleCostLog {
 public:
  OracleCostLog(const std::filesystem::path& file, World& world) : world_(&world) {
    if (world.leads()) log_.emplace(file, end_of_rows(file));
  }
  void add(const nlohmann::ordered_json& row) {
    if (log_) return log_->append(row);
    rows_.push_back(row);
  }
  /// A collective.
  void finish() {
    const auto all = world_->all_gather(rows_.dump(), "cost of the oracle");
    if (!log_) return;
    for (const std::string& rows : all) {
      for (const auto& row : nlohmann::ordered_json::parse(rows)) log_->append(row);
    }
    log_->offset();  // this flushes the rows to the disk
  }

 private:
  World* world_;
  std::optional<MetricsLog> log_;
  nlohmann::ordered_json rows_ = nlohmann::ordered_json::array();
};

}  // namespace

std::int64_t recorded_block_tokens(const Config& config) {
  return config.oracle.block_tokens > 0 ? config.oracle.block_tokens : config.eviction.window;
}

void record_trace(const Transformer& model, const TokenRow& trace, const std::string& trace_id,
                  std::int64_t block_tokens, int compression, const OracleProvenance& provenance,
                  const std::filesystem::path& file) {
  const ModelShape& shape = model.shape();
  const bool all_evict = shape.evicting_layers() == shape.layers;
  const OracleDimensions dimensions{
      .layers = shape.evicting_layers(),
      .kv_heads = shape.kv_heads,
      .tokens = static_cast<std::int64_t>(trace.tokens.size()),
      .block_tokens = block_tokens,
      .numbers = all_evict ? std::vector<std::int64_t>() : shape.evicting_layer_numbers()};
  AttentionRecorder recorder(dimensions, file);
  const torch::Tensor tokens = torch::tensor(trace.tokens, torch::kInt32).to(torch::kInt64);
  const FullPass pass = full_pass(
      model, tokens, query_block(block_tokens, model.options().device),
      {.attention = [&](std::int64_t layer,
                        const torch::Tensor& probabilities) { recorder.observe(layer, probabilities); },
       .block_tokens = block_tokens,
       .blocks = [&](std::int64_t layer,
                     const torch::Tensor& means) { recorder.observe_means(layer, means); }});
  require_finite(pass.loss, "loss", trace_id);
  require_finite(pass.entropy, "entropy", trace_id);
  const auto to_vector = [](const torch::Tensor& values) {
    const torch::Tensor host = values.to(torch::kCPU, torch::kFloat32).contiguous();
    return std::vector<float>(host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel());
  };
  const OracleTrace stored{.trace_id = trace_id,
                           .token_ids = trace.tokens,
                           .loss = to_vector(pass.loss),
                           .entropy = to_vector(pass.entropy),
                           .completion = trace.completion};
  OracleWriter writer(file, dimensions, provenance, stored, compression);
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    const torch::Tensor packed = recorder.packed(layer);
    writer.write_layer(layer, {reinterpret_cast<const std::uint16_t*>(packed.const_data_ptr()),
                               static_cast<std::size_t>(packed.numel())});
  }
  writer.finish();
}

void run_oracle(const Config& config, const Transformer& model, const Tokenizer& tokenizer, World& world) {
  const std::vector<TraceSplit> splits = make_trace_splits(config, tokenizer, model.shape());
  const RunFolder run{config.output};
  const std::filesystem::path folder = run.oracle();
  const OracleProvenance provenance{.model_fingerprint = model.fingerprint(),
                                    .tokenizer_fingerprint = tokenizer.fingerprint(),
                                    .config_yaml = to_yaml(config),
                                    .code_version = code_version(),
                                    .dtype = model.dtype_name()};
  const std::int64_t block_tokens = recorded_block_tokens(config);
  const Inventory inventory = take_inventory(splits, folder, provenance, block_tokens, world);
  log_info(concat("oracle: ", inventory.recorded, " traces have been recorded, ", inventory.missing.size(),
                  " are left (", inventory.tokens_missing, " tokens)"));
  const std::vector<MissingTrace> own = own_share(inventory.missing, world);
  std::int64_t tokens_here = 0, done = 0;
  for (const MissingTrace& item : own) tokens_here += item.tokens();
  Progress progress("oracle", "tokens", tokens_here);
  // The cost of each trace, for the cost of training in evaluation.json; no result depends on it.
  OracleCostLog costs(run.metrics_file(Stage::kOracle), world);
  bool stopped = false;
  for (const MissingTrace& item : own) {
    stopped = stop_requested();
    if (stopped) break;
    const auto started = std::chrono::steady_clock::now();
    record_trace(model, *item.trace, item.id, block_tokens, static_cast<int>(config.oracle.compression),
                 provenance, item.file);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    costs.add({{"trace", item.id},
               {"tokens", item.tokens()},
               {"seconds", took.count()},
               {"bytes", std::filesystem::file_size(item.file)}});
    progress.update(done += item.tokens(), item.id);
  }
  costs.finish();
  if (world.any(stopped, "oracle"))
    throw Error(ErrorKind::kInterrupted,
                "oracle: stopped; finished traces are kept, run the same command again to resume");
  progress.finish();
}

}  // namespace foresight
