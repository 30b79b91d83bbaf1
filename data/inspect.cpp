#include "data/inspect.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "data/hdf5_handles.h"
#include "data/oracle_file.h"
#include "data/safetensors.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

Json dataset_facts(const std::string& name, const std::string& dtype, const std::vector<std::int64_t>& shape,
                   std::uint64_t element_bytes) {
  std::uint64_t bytes = element_bytes;
  for (const std::int64_t size : shape) bytes *= static_cast<std::uint64_t>(size);
  return {{"name", name}, {"dtype", dtype}, {"shape", shape}, {"bytes", bytes}};
}

/// Mean over the predicted tokens: token 0 has no prediction. 0 where nothing is predicted.
double mean(const std::vector<float>& values) {
  if (values.size() < 2) return 0;
  return std::accumulate(values.begin() + 1, values.end(), 0.0) / static_cast<double>(values.size() - 1);
}

}  // namespace

nlohmann::ordered_json describe_oracle_file(const std::filesystem::path& path) {
  const OracleReader reader(path);
  const OracleDimensions& dimensions = reader.dimensions();
  const OracleProvenance& provenance = reader.provenance();
  const OracleTrace& trace = reader.trace();

  // The reader has checked that the file holds exactly these datasets (docs/hdf5_format.md).
  Json datasets = Json::array();
  datasets.push_back(dataset_facts("/token_ids", "int32", {dimensions.tokens}, 4));
  datasets.push_back(dataset_facts("/loss", "float32", {dimensions.tokens}, 4));
  datasets.push_back(dataset_facts("/entropy", "float32", {dimensions.tokens}, 4));
  datasets.push_back(dataset_facts("/completion", "uint8", {dimensions.tokens}, 1));
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    reader.open_layer(layer);  // checks its digest
    datasets.push_back(
        dataset_facts(concat("/", kOracleAttentionGroup, "/", oracle_layer_name(dimensions.number(layer))),
                      "float16", {dimensions.kv_heads, dimensions.packed_elements()}, 2));
  }

  Json facts;
  facts["path"] = path.string();
  facts["kind"] = "oracle";
  facts["file_bytes"] = std::filesystem::file_size(path);
  facts["schema_version"] = dimensions.schema_version();
  facts["dimensions"] = {{"layers", dimensions.layers},   {"kv_heads", dimensions.kv_heads},
                         {"tokens", dimensions.tokens},   {"block_tokens", dimensions.block_tokens},
                         {"blocks", dimensions.blocks()}, {"packed_elements", dimensions.packed_elements()}};
  Json numbers = Json::array();
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer)
    numbers.push_back(dimensions.number(layer));
  facts["evicting_layers"] = std::move(numbers);
  facts["trace"] = {{"trace_id", trace.trace_id},
                    {"mean_loss_nats", mean(trace.loss)},
                    {"mean_entropy_nats", mean(trace.entropy)},
                    {"completion_tokens", std::count_if(trace.completion.begin(), trace.completion.end(),
                                                        [](std::uint8_t flag) { return flag != 0; })},
                    {"digests_checked", true}};
  facts["provenance"] = {{"model_fingerprint", provenance.model_fingerprint},
                         {"tokenizer_fingerprint", provenance.tokenizer_fingerprint},
                         {"dtype", provenance.dtype},
                         {"code_version", provenance.code_version},
                         {"config_yaml", provenance.config_yaml}};
  facts["datasets"] = std::move(datasets);
  return facts;
}

nlohmann::ordered_json describe_safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  std::uint64_t elements = 0;
  Json tensors = Json::array();
  for (const auto& [name, tensor] : file.tensors()) {
    tensors.push_back(dataset_facts(name, dtype_name(tensor.dtype), tensor.shape, dtype_bytes(tensor.dtype)));
    elements += tensor.bytes.size() / dtype_bytes(tensor.dtype);
  }
  Json facts;
  facts["path"] = path.string();
  facts["kind"] = "safetensors";
  facts["file_bytes"] = std::filesystem::file_size(path);
  facts["elements"] = elements;
  facts["metadata"] = file.metadata();
  facts["tensors"] = std::move(tensors);
  return facts;
}

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return concat(major, ".", minor, ".", release);
}

}  // namespace foresight
