// The facts of a data file, for `foresight inspect`.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace foresight {

/// An oracle file: {path, kind: "oracle", file_bytes, schema_version, dimensions, trace, provenance,
/// datasets:
/// [{name, dtype, shape, bytes}]}. Sizes in bytes, losses in nats; `trace.digests_checked` says that every
/// layer was read and matches its digest. Throws Error(kInput) like OracleReader, and on a damaged layer.
nlohmann::ordered_json describe_oracle_file(const std::filesystem::path& path);

/// A safetensors file: {path, kind: "safetensors", file_bytes, elements, metadata, tensors: [{name, dtype,
/// shape, bytes}]}, tensors in order of name. Throws Error(kInput) like SafetensorsFile.
nlohmann::ordered_json describe_safetensors(const std::filesystem::path& path);

/// Version of the HDF5 library in use, "1.10.8".
std::string hdf5_version();

}  // namespace foresight
