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

std::int64_t OracleDimensions::first_element(std::int64_t block) const {
  return block_tokens * (block * (block + 1) / 2);  // the blocks before see 1, 2, ... blocks of keys
}

std::int64_t OracleDimensions::elements_of_blocks(std::int64_t first, std::int64_t count) const {
  if (count == 0) return 0;
  const std::int64_t last = first + count - 1;
  return first_element(last) + keys_of_block(last) - first_element(first);
}

std::int64_t OracleDimensions::packed_elements() const {
  return elements_of_blocks(0, blocks());
}

}  // namespace foresight
