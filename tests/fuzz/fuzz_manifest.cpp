// manifest.json of a checkpoint: as it is, and once more with a digest that fits.
#include "tests/fuzz/harness.h"
#include "trainer/base/files.h"
#include "trainer/base/manifest.h"

namespace foresight::fuzz {
namespace {

/// The input with the digest of its facts and files, where it has any.
std::string with_digest(std::string_view input) {
  nlohmann::json manifest = nlohmann::json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || !manifest.contains("facts") || !manifest.contains("files")) return "";
  const nlohmann::json signed_part = {{"facts", manifest["facts"]}, {"files", manifest["files"]}};
  manifest["digest"] = sha256_hex(signed_part.dump());
  return manifest.dump();
}

}  // namespace

void fuzz_one(std::string_view input) {
  put_file("weights.bin", "abc");
  const Promise promise{.name = work_folder().string()};
  for (const std::string& text : {std::string(input), with_digest(input)}) {
    put_file(kManifestName, text);
    expect_kept(promise, text.size(), [] { touch(read_manifest(work_folder()).dump()); });
  }
}

}  // namespace foresight::fuzz
