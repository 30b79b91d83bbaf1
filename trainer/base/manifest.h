// A folder that can prove it is whole: manifest.json lists every file with its size and SHA-256.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace foresight {

inline constexpr const char* kManifestName = "manifest.json";

/// Records every file under `folder` (at any depth) and `facts`, an object of the caller's, in
/// folder/manifest.json; an older manifest is replaced. The files must not change afterwards.
/// Throws Error(kInternal) when `facts` is no object or holds text that is not UTF-8, Error(kResource) when
/// the folder cannot be read or written, or holds something that is neither file nor folder.
void write_manifest(const std::filesystem::path& folder, const nlohmann::json& facts);

/// The facts of a folder whose files are exactly the recorded ones, byte for byte. Throws Error(kInput)
/// naming the file: no manifest, manifest damaged or of another version, a file missing, changed or not
/// recorded.
nlohmann::json read_manifest(const std::filesystem::path& folder);

}  // namespace foresight
