// A small trace to write, and helpers on its file.
#pragma once

#include <cstdint>
#include <vector>

#include "data/oracle_file.h"
#include "tests/data/whole_layer.h"

namespace foresight {

struct OracleExample {
  OracleDimensions dimensions;
  OracleProvenance provenance;
  OracleTrace trace;
  std::vector<std::vector<std::uint16_t>> layers;  ///< [layers][kv_heads * packed_elements]
};

/// Numbers computed from their place.
inline OracleExample make_example(const OracleDimensions& dimensions) {
  OracleExample example;
  example.dimensions = dimensions;
  example.provenance = {"model-digest", "tokenizer-digest", "seed: 1\n", "0.1.0", "float32"};
  example.trace.trace_id = "train-000007";
  for (std::int64_t t = 0; t < dimensions.tokens; ++t) {
    example.trace.token_ids.push_back(static_cast<std::int32_t>(t * 31 % 1009));
    example.trace.loss.push_back(static_cast<float>(t) * 0.25F);
    example.trace.entropy.push_back(static_cast<float>(t) * 0.125F + 1.0F);
    example.trace.completion.push_back(t > dimensions.tokens / 2 ? 1 : 0);
  }
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    std::vector<std::uint16_t> bits;
    for (std::int64_t i = 0; i < dimensions.kv_heads * dimensions.packed_elements(); ++i) {
      bits.push_back(static_cast<std::uint16_t>((i * 7919 + layer * 131) % 0x3c00));
    }
    example.layers.push_back(std::move(bits));
  }
  return example;
}

inline void write_example(const std::filesystem::path& path, const OracleExample& example, int compression) {
  OracleWriter writer(path, example.dimensions, example.provenance, example.trace, compression);
  for (std::size_t layer = 0; layer < example.layers.size(); ++layer) {
    writer.write_layer(static_cast<std::int64_t>(layer), example.layers[layer]);
  }
  writer.finish();
}

/// True when everything in the file is as in the example; throws the reader's errors.
inline bool same_as_example(const std::filesystem::path& path, const OracleExample& example) {
  const OracleReader reader(path);
  const OracleTrace& trace = reader.trace();
  const OracleProvenance& provenance = reader.provenance();
  bool same = reader.dimensions() == example.dimensions && trace.trace_id == example.trace.trace_id &&
              trace.token_ids == example.trace.token_ids && trace.loss == example.trace.loss &&
              trace.entropy == example.trace.entropy && trace.completion == example.trace.completion &&
              provenance.model_fingerprint == example.provenance.model_fingerprint &&
              provenance.tokenizer_fingerprint == example.provenance.tokenizer_fingerprint &&
              provenance.config_yaml == example.provenance.config_yaml &&
              provenance.code_version == example.provenance.code_version &&
              provenance.dtype == example.provenance.dtype;
  for (std::size_t layer = 0; layer < example.layers.size(); ++layer) {
    same = same && whole_layer(reader, static_cast<std::int64_t>(layer)) == example.layers[layer];
  }
  return same;
}

}  // namespace foresight
