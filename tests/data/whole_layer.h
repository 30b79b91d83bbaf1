// A layer of an oracle file in one piece.
#pragma once

#include <cstdint>
#include <vector>

#include "data/oracle_file.h"

namespace foresight {

/// float16 bits, [kv_heads, packed_elements()].
inline std::vector<std::uint16_t> whole_layer(const OracleReader& reader, std::int64_t layer) {
  const OracleLayer opened = reader.open_layer(layer);
  std::vector<std::uint16_t> bits;
  for (std::int64_t head = 0; head < reader.dimensions().kv_heads; ++head) {
    const std::vector<std::uint16_t> row = opened.read_rows(head, 0, reader.dimensions().blocks());
    bits.insert(bits.end(), row.begin(), row.end());
  }
  return bits;
}

}  // namespace foresight
