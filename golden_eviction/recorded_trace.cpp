#include "golden_eviction/recorded_trace.h"

#include <algorithm>
#include <memory>

#include "golden_eviction/future_attention.h"
#include "golden_eviction/shared_traces.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/text.h"
#include "trainer/comm/agreement.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

std::vector<RecordedTrace> load_shared_traces(World& world, const std::filesystem::path& oracle_folder,
                                              const std::string& split, std::int64_t most,
                                              const std::string& model_fingerprint,
                                              const std::string& tokenizer_fingerprint) {
  std::vector<RecordedTrace> traces;
  const auto find = [&] {
    std::vector<std::filesystem::path> files = oracle_files(oracle_folder, split);
    files.resize(std::min(files.size(), static_cast<std::size_t>(std::max<std::int64_t>(most, 0))));
    return files;
  };
  for (const auto& path : files_of_lead(world, find, "recorded traces")) {
    const OracleReader reader(path);
    require_same_source(reader, model_fingerprint, tokenizer_fingerprint);
    const OracleTrace& stored = reader.trace();
    RecordedTrace trace;
    trace.id = stored.trace_id;
    trace.file = path;
    trace.dtype = reader.provenance().dtype;
    trace.dimensions = reader.dimensions();
    trace.tokens = torch::tensor(stored.token_ids, torch::kInt32).to(torch::kInt64);
    trace.loss = torch::tensor(stored.loss);
    trace.entropy = torch::tensor(stored.entropy);
    trace.completion = torch::tensor(stored.completion, torch::kUInt8).to(torch::kBool);
    traces.push_back(std::move(trace));
  }
  if (traces.empty()) {
    throw Error(ErrorKind::kInput,
                concat("no recorded traces of the split '", split, "' in ", oracle_folder.string(),
                       ": run `foresight oracle` with this config first"));
  }
  return traces;
}

std::vector<RecordedTrace> load_recorded_traces(const std::filesystem::path& oracle_folder,
                                                const std::string& split, std::int64_t most,
                                                const std::string& model_fingerprint,
                                                const std::string& tokenizer_fingerprint) {
  return load_shared_traces(alone(), oracle_folder, split, most, model_fingerprint, tokenizer_fingerprint);
}

std::string traces_fingerprint(const std::vector<RecordedTrace>& traces) {
  std::string facts;
  for (const RecordedTrace& trace : traces) {
    facts += concat(trace.id, " ", trace.dtype, " ", tensor_sha256(trace.tokens), " ",
                    tensor_sha256(trace.completion), "\n");
  }
  return sha256_hex(facts);
}

void require_losses_of(const std::vector<RecordedTrace>& traces, const std::string& dtype) {
  for (const RecordedTrace& trace : traces) {
    if (trace.dtype == dtype) continue;
    throw Error(
        ErrorKind::kConfig,
        concat("runtime.dtype: this run computes in ", dtype, ", but the losses in ", trace.file.string(),
               " were recorded in ", trace.dtype, ": set runtime.dtype=", trace.dtype, ", or record them in ",
               dtype, ": choose another `output`, or remove the oracle folder"));
  }
}

std::vector<torch::Tensor> recorded_attention(const RecordedTrace& trace, std::int64_t window) {
  const OracleReader reader(trace.file);
  const OracleDimensions& dimensions = trace.dimensions;
  std::vector<torch::Tensor> layers;
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    heartbeat();
    std::vector<std::uint16_t> bits = reader.read_layer(layer);
    const torch::Tensor packed =
        torch::from_blob(bits.data(), {dimensions.kv_heads, dimensions.packed_elements()}, torch::kFloat16);
    layers.push_back(merge_blocks(unpack_attention(packed, dimensions), dimensions.block_tokens, window));
  }
  return layers;
}

std::vector<GoldenPlan> golden_plans(const RecordedTrace& trace, const CacheSize& size) {
  std::vector<GoldenPlan> plans;
  for (const torch::Tensor& attention : recorded_attention(trace, size.window))
    plans.push_back(golden_plan(attention, size));
  return plans;
}

EvictionSelector golden_selector(std::vector<std::vector<GoldenPlan>> plans) {
  const auto shared = std::make_shared<const std::vector<std::vector<GoldenPlan>>>(std::move(plans));
  return [shared](const EvictionView& view) {
    const auto traces = static_cast<std::int64_t>(shared->size());
    std::vector<torch::Tensor> wanted;  // per row [K, W] original positions
    for (std::int64_t row = 0; row < view.keys.size(0); ++row) {
      const auto& plan =
          (*shared)[static_cast<std::size_t>(row % traces)][static_cast<std::size_t>(view.layer)];
      wanted.push_back(plan.evicted.select(1, view.step));
    }
    // Positions ascend within a head, so the index of a position is a binary search.
    const torch::Tensor positions = view.positions.narrow(2, 0, view.budget).contiguous();
    return torch::searchsorted(positions, torch::stack(wanted).to(positions.device()).contiguous());
  };
}

}  // namespace foresight
