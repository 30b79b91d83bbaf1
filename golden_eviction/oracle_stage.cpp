#include "golden_eviction/oracle_stage.h"

#include <chrono>
#include <optional>

#include "data/oracle_file.h"
#include "golden_eviction/future_attention.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/config/load.h"
#include "trainer/eviction/evicted_pass.h"
#include "trainer/training/metrics.h"

namespace foresight {
namespace {

/// Tokens that go through the model at once: enough for full matrix products, a multiple of the block.
std::int64_t chunk_tokens(std::int64_t block_tokens) {
  constexpr std::int64_t kWanted = 256;
  return std::max(block_tokens, kWanted / block_tokens * block_tokens);
}

/// Gathers the rows of the packed causal half while a full pass runs.
class AttentionRecorder {
 public:
  explicit AttentionRecorder(const OracleDimensions& dimensions)
      : dimensions_(dimensions), rows_(static_cast<std::size_t>(dimensions.layers)) {}

  void observe(std::int64_t layer, const torch::Tensor& probabilities) {
    auto& rows = rows_[static_cast<std::size_t>(layer)];
    const auto first_block = static_cast<std::int64_t>(rows.size());
    const torch::Tensor means =
        block_mean_attention(probabilities[0], dimensions_.block_tokens);  // [K, blocks, n]
    for (std::int64_t i = 0; i < means.size(1); ++i) {
      const std::int64_t keys = dimensions_.keys_of_block(first_block + i);
      rows.push_back(means.select(1, i).narrow(1, 0, keys).to(torch::kCPU, torch::kFloat16));
    }
  }

  /// [K, packed_elements] float16
  torch::Tensor packed(std::int64_t layer) const {
    return torch::cat(rows_[static_cast<std::size_t>(layer)], 1).contiguous();
  }

 private:
  OracleDimensions dimensions_;
  std::vector<std::vector<torch::Tensor>> rows_;
};

void require_finite(const torch::Tensor& values, const std::string& what, const std::string& trace_id) {
  const torch::Tensor finite = torch::isfinite(values);
  if (finite.all().item<bool>()) return;
  const auto token = (finite.logical_not()).nonzero()[0].item<std::int64_t>();
  throw Error(ErrorKind::kNumeric,
              concat("trace ", trace_id, ": ", what, " of token ", token,
                     " is not finite: the model's weights or runtime.dtype are at fault"));
}

/// True when `file` holds this very trace already.
bool is_recorded(const std::filesystem::path& file, const TokenRow& trace, const OracleProvenance& provenance,
                 std::int64_t block_tokens) {
  if (!std::filesystem::exists(file)) return false;
  std::optional<OracleReader> reader;
  try {
    reader.emplace(file);
  } catch (const Error& error) {
    log_warning(concat("recording again what cannot be read: ", error.what()));
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

}  // namespace

std::int64_t recorded_block_tokens(const Config& config) {
  return config.oracle.block_tokens > 0 ? config.oracle.block_tokens : config.eviction.window;
}

void record_trace(const Transformer& model, const TokenRow& trace, const std::string& trace_id,
                  std::int64_t block_tokens, int compression, const OracleProvenance& provenance,
                  const std::filesystem::path& file) {
  const OracleDimensions dimensions{.layers = model.shape().layers,
                                    .kv_heads = model.shape().kv_heads,
                                    .tokens = static_cast<std::int64_t>(trace.tokens.size()),
                                    .block_tokens = block_tokens};
  const std::int64_t chunk = chunk_tokens(block_tokens);
  AttentionRecorder recorder(dimensions);
  const torch::Tensor tokens = torch::tensor(trace.tokens, torch::kInt32).to(torch::kInt64);
  const FullPass pass =
      full_pass(model, tokens, chunk, [&](std::int64_t layer, const torch::Tensor& probabilities) {
        recorder.observe(layer, probabilities);
      });
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

void run_oracle(const Config& config, const Transformer& model, const Tokenizer& tokenizer) {
  const std::vector<TraceSplit> splits = make_trace_splits(config, tokenizer, model.shape().vocabulary_size);
  const std::filesystem::path folder = std::filesystem::path(config.output) / "oracle";
  const OracleProvenance provenance{.model_fingerprint = model.fingerprint(),
                                    .tokenizer_fingerprint = tokenizer.fingerprint(),
                                    .config_yaml = to_yaml(config),
                                    .code_version = code_version(),
                                    .dtype = model.dtype_name()};
  const std::int64_t block_tokens = recorded_block_tokens(config);
  struct Missing {
    const TokenRow* trace;
    std::string id;
    std::filesystem::path file;
  };
  std::vector<Missing> missing;
  std::int64_t tokens_missing = 0, recorded = 0;
  for (const TraceSplit& split : splits) {
    for (std::size_t i = 0; i < split.traces.size(); ++i) {
      const TokenRow& trace = split.traces[i];
      const auto file = oracle_file_path(folder, split.name, static_cast<std::int64_t>(i));
      if (is_recorded(file, trace, provenance, block_tokens)) {
        ++recorded;
        continue;
      }
      missing.push_back({&trace, file.stem().string(), file});
      tokens_missing += static_cast<std::int64_t>(trace.tokens.size());
    }
  }
  log_info(concat("oracle: ", recorded, " traces are recorded, ", missing.size(), " to do (", tokens_missing,
                  " tokens)"));
  Progress progress("oracle", "tokens", tokens_missing);
  // What each trace took, for the cost of training in evaluation.json; no result depends on it.
  const std::filesystem::path metrics_file = folder / "metrics.jsonl";
  MetricsLog metrics(metrics_file, end_of_rows(metrics_file));
  std::int64_t done = 0;
  for (const Missing& item : missing) {
    if (stop_requested())
      throw Error(ErrorKind::kInterrupted, "oracle: stopped; finished traces are kept, run again to go on");
    const auto started = std::chrono::steady_clock::now();
    record_trace(model, *item.trace, item.id, block_tokens, static_cast<int>(config.oracle.compression),
                 provenance, item.file);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    metrics.append({{"trace", item.id},
                    {"tokens", item.trace->tokens.size()},
                    {"seconds", took.count()},
                    {"bytes", std::filesystem::file_size(item.file)}});
    done += static_cast<std::int64_t>(item.trace->tokens.size());
    progress.update(done, item.id);
  }
  progress.finish();
  metrics.offset();  // the rows are on the disk then
}

}  // namespace foresight
