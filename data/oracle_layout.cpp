#include "data/oracle_layout.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <string_view>

#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {

static_assert(std::endian::native == std::endian::little, "digests are taken over little-endian values");

std::array<NamedText, 6> named_texts(OracleProvenance& provenance, OracleTrace& trace) {
  return {{{"trace_id", &trace.trace_id},
           {"model_fingerprint", &provenance.model_fingerprint},
           {"tokenizer_fingerprint", &provenance.tokenizer_fingerprint},
           {"config_yaml", &provenance.config_yaml},
           {"code_version", &provenance.code_version},
           {"dtype", &provenance.dtype}}};
}

std::array<NamedInteger, 4> named_integers(OracleDimensions& dimensions) {
  return {{{"layers", &dimensions.layers, kMaxLayers},
           {"kv_heads", &dimensions.kv_heads, kMaxKvHeads},
           {"tokens", &dimensions.tokens, kMaxTokens},
           {"block_tokens", &dimensions.block_tokens, kMaxTokens}}};
}

bool is_layer_list(const std::vector<std::int64_t>& numbers, std::int64_t layers) {
  const bool ascends = std::ranges::adjacent_find(numbers, std::greater_equal<>()) == numbers.end();
  return static_cast<std::int64_t>(numbers.size()) == layers && ascends && layers > 0 &&
         numbers.front() >= 0 && numbers.back() < kMaxLayers;
}

std::array<TokenDataset, 4> token_datasets(OracleTrace& trace) {
  return {{{"token_ids", H5T_STD_I32LE, 4, trace.token_ids.data()},
           {"loss", H5T_IEEE_F32LE, 4, trace.loss.data()},
           {"entropy", H5T_IEEE_F32LE, 4, trace.entropy.data()},
           {"completion", H5T_STD_U8LE, 1, trace.completion.data()}}};
}

std::string oracle_digest(OracleDimensions dimensions, OracleProvenance provenance, OracleTrace trace,
                          const std::vector<std::string>& layer_digests) {
  // Each text follows its length, so that different files give different bytes.
  std::string bytes = concat(kVersionAttribute, "=", dimensions.schema_version(), "\n");
  for (const NamedInteger& integer : named_integers(dimensions)) {
    bytes += concat(integer.name, "=", *integer.value, "\n");
  }
  if (!dimensions.numbers.empty()) {
    const std::string numbers = join(dimensions.numbers, " ");
    bytes += concat(kLayersAttribute, "=", numbers.size(), ":", numbers, "\n");
  }
  for (const NamedText& text : named_texts(provenance, trace)) {
    bytes += concat(text.name, "=", text.value->size(), ":", *text.value, "\n");
  }
  for (const TokenDataset& dataset : token_datasets(trace)) {
    bytes += std::string_view(static_cast<const char*>(dataset.data),
                              static_cast<std::size_t>(dimensions.tokens) * dataset.element_bytes);
  }
  for (const std::string& digest : layer_digests) bytes += digest + "\n";
  return sha256_hex(bytes);
}

}  // namespace foresight
