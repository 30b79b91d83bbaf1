// Names, types and limits of an oracle file, shared by its writer and its reader. Private to
// data/oracle_*.cpp; documented in docs/hdf5_format.md.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5_handles.h"
#include "data/oracle_schema.h"

namespace foresight {

inline constexpr const char* kVersionAttribute = "schema_version";
inline constexpr const char* kLayersAttribute = "layer_numbers";  // of schema 2: "1 3 5"
inline constexpr const char* kDigestAttribute = "digest";
inline constexpr const char* kLayerDigestAttribute = "sha256";
inline constexpr std::uint64_t kDigestBytes = 64;  // SHA-256 in hex

// Limits far above any real trace; they keep products of sizes within int64.
inline constexpr std::int64_t kMaxLayers = 4096;
inline constexpr std::int64_t kMaxKvHeads = 4096;
inline constexpr std::int64_t kMaxTokens = std::int64_t{1} << 22;
inline constexpr std::uint64_t kMaxStringBytes = std::uint64_t{1} << 24;

/// One string of the root attributes, with the place of its value.
struct NamedText {
  const char* name;
  std::string* value;
};
std::array<NamedText, 6> named_texts(OracleProvenance& provenance, OracleTrace& trace);

/// One integer of the root attributes, with the place of its value and its upper limit (the lower is 1).
struct NamedInteger {
  const char* name;
  std::int64_t* value;
  std::int64_t largest;
};
std::array<NamedInteger, 4> named_integers(OracleDimensions& dimensions);

/// Whether `numbers` are `layers` ascending numbers of layers.
bool is_layer_list(const std::vector<std::int64_t>& numbers, std::int64_t layers);

/// One dataset of per-token values: `data` points at dimensions.tokens elements of HDF5 type `type`.
struct TokenDataset {
  const char* name;
  hid_t type;
  std::size_t element_bytes;
  void* data;
};
/// The four per-token datasets in the order of the digest. The trace's vectors must have their final sizes.
std::array<TokenDataset, 4> token_datasets(OracleTrace& trace);

/// SHA-256 over everything but the attention itself: the attributes, the per-token datasets and the layers'
/// digests (docs/hdf5_format.md, "Digests").
std::string oracle_digest(OracleDimensions dimensions, OracleProvenance provenance, OracleTrace trace,
                          const std::vector<std::string>& layer_digests);

}  // namespace foresight
