// Traces of random tokens, recorded by the oracle.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>

#include "data/oracle_file.h"
#include "golden_eviction/oracle_stage.h"

namespace foresight {

/// Records trace number `index` of a split, `length` random tokens that follow from its number, in blocks of
/// `block` tokens.
inline void record_random_tokens(const Transformer& model, const std::filesystem::path& folder,
                                 const std::string& split, std::int64_t index, std::int64_t length,
                                 std::int64_t block) {
  const OracleProvenance provenance{.model_fingerprint = model.fingerprint(),
                                    .tokenizer_fingerprint = "none",
                                    .config_yaml = "",
                                    .code_version = "test",
                                    .dtype = "float32"};
  torch::manual_seed(static_cast<std::uint64_t>(index + 1));
  const torch::Tensor tokens = torch::randint(0, 97, {length}, torch::kInt32);
  TokenRow row;
  row.source = "test";
  row.tokens.assign(tokens.const_data_ptr<std::int32_t>(), tokens.const_data_ptr<std::int32_t>() + length);
  row.completion.assign(static_cast<std::size_t>(length), 1);
  record_trace(model, row, split + "-" + std::to_string(index), block, 0, provenance,
               oracle_file_path(folder, split, index));
}

}  // namespace foresight
