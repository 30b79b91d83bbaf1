#include "data/oracle_schema.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace foresight {

std::string oracle_layer_name(std::int64_t layer) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "layer_%03lld", static_cast<long long>(layer));
  return name.data();
}

std::int64_t OracleDimensions::keys_of_block(std::int64_t block) const {
  return std::min((block + 1) * block_tokens, tokens);
}

std::int64_t OracleDimensions::packed_elements() const {
  // Whole blocks see 1, 2, ... blocks of keys; a shorter last block sees all tokens.
  const std::int64_t whole = tokens / block_tokens;
  const std::int64_t partial = tokens % block_tokens == 0 ? 0 : tokens;
  return block_tokens * (whole * (whole + 1) / 2) + partial;
}

}  // namespace foresight
