#include "trainer/base/manifest.h"

#include <cstdint>
#include <map>
#include <string>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::int64_t kManifestVersion = 1;
constexpr int kMaxDepth = 64;

/// Every file below `folder` but the manifest, by its name relative to it. Links count as faults: what they
/// point to can change without the folder.
std::map<std::string, fs::path> files_below(const fs::path& folder, ErrorKind kind) {
  std::map<std::string, fs::path> files;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const fs::file_status status = entry->symlink_status(error);
    if (error) break;
    if (fs::is_directory(status)) continue;
    if (!fs::is_regular_file(status)) {
      throw Error(kind, concat(entry->path().string(), ": expected a plain file or folder"));
    }
    const std::string name = entry->path().lexically_relative(folder).generic_string();
    if (name != kManifestName) files.emplace(name, entry->path());
  }
  if (error) throw Error(kind, concat("cannot list the folder ", folder.string(), ": ", error.message()));
  return files;
}

/// The digest covers facts and files, so that a changed step or metric is detected like a changed tensor.
std::string digest_of(const Json& manifest) {
  return sha256_hex(Json{{"facts", manifest.at("facts")}, {"files", manifest.at("files")}}.dump());
}

Json parse_manifest(const fs::path& path) {
  const auto fail = [&path](const std::string& message) {
    throw Error(ErrorKind::kInput, concat(path.string(), ": ", message));
  };
  Json manifest = parse_json_strictly(read_file(path), path.string(), kMaxDepth);
  if (!manifest.is_object() || !manifest.contains("manifest_version")) fail("expected a manifest");
  if (manifest["manifest_version"] != kManifestVersion) {
    fail(concat("written by manifest version ", one_line(manifest["manifest_version"].dump()),
                ", this program reads ", kManifestVersion));
  }
  for (const char* key : {"facts", "files"}) {
    if (!manifest.contains(key) || !manifest[key].is_object())
      fail(concat("expected an object \"", key, "\""));
  }
  if (!manifest.contains("digest") || manifest["digest"] != digest_of(manifest)) {
    fail("damaged: its content does not match its digest");
  }
  return manifest;
}

void require_same_file(const fs::path& path, const Json& recorded) {
  const auto fail = [&path](const std::string& what, const std::string& expected, const std::string& found) {
    throw Error(ErrorKind::kInput,
                concat(path.string(), ": damaged: expected ", what, " ", expected, ", found ", found));
  };
  std::error_code error;
  const std::uintmax_t bytes = fs::file_size(path, error);
  if (error) throw Error(ErrorKind::kInput, concat("cannot read ", path.string(), ": ", error.message()));
  if (recorded.value("bytes", Json()) != Json(bytes)) {
    fail("size in bytes", one_line(recorded.value("bytes", Json()).dump()), std::to_string(bytes));
  }
  const std::string digest = sha256_file_hex(path);
  if (recorded.value("sha256", Json()) != Json(digest)) {
    fail("SHA-256", one_line(recorded.value("sha256", Json()).dump()), digest);
  }
}

}  // namespace

void write_manifest(const fs::path& folder, const Json& facts) {
  const fs::path path = folder / kManifestName;
  if (!facts.is_object()) {
    throw Error(ErrorKind::kInternal,
                concat("cannot write ", path.string(), ": its facts are not a JSON object"));
  }
  Json files = Json::object();
  for (const auto& [name, file] : files_below(folder, ErrorKind::kResource)) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(file, error);
    if (error) throw_resource("cannot read", file, error.value());
    files[name] = {{"bytes", bytes}, {"sha256", sha256_file_hex(file)}};
  }
  Json manifest = {{"manifest_version", kManifestVersion}, {"facts", facts}, {"files", files}};
  std::string text;
  try {
    manifest["digest"] = digest_of(manifest);
    text = manifest.dump(2) + "\n";
  } catch (const Json::exception& fault) {
    throw Error(ErrorKind::kInternal, concat("cannot write ", path.string(), ": ", fault.what()));
  }
  write_file_atomically(path, text);
}

Json read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestName;
  const Json manifest = parse_manifest(path);
  const Json& recorded = manifest["files"];
  const std::map<std::string, fs::path> found = files_below(folder, ErrorKind::kInput);
  for (const auto& [name, facts] : recorded.items()) {
    if (!found.contains(name)) {
      throw Error(ErrorKind::kInput,
                  concat(folder.string(), "/", one_line(name), ": missing; ", path.string(), " lists it"));
    }
    if (!facts.is_object()) {
      throw Error(ErrorKind::kInput, concat(path.string(), ": \"", one_line(name), "\": expected an object"));
    }
    require_same_file(found.at(name), facts);
  }
  for (const auto& [name, file] : found) {
    if (recorded.contains(name)) continue;
    throw Error(ErrorKind::kInput, concat(file.string(), ": not listed in ", path.string(), "; remove it"));
  }
  return manifest["facts"];
}

}  // namespace foresight
