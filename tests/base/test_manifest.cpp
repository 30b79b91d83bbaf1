#include "trainer/base/manifest.h"

#include <sys/stat.h>
#include <unistd.h>

#include <limits>

#include "tests/base/error_of.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

std::string fault_of(const TemporaryFolder& folder) {
  return error_of(ErrorKind::kInput, [&] { read_manifest(folder.path()); });
}

const nlohmann::json kFacts = {{"kind", "checkpoint"}, {"step", 120}, {"metric", 0.1}, {"note", "ä"}};

/// A folder of three files with its manifest.
void fill(const TemporaryFolder& folder) {
  folder.write("weights", "abcd");
  folder.write("empty", "");
  fs::create_directories(folder / "deep/er");
  folder.write("deep/er/file", std::string(100'000, 'x'));
  write_manifest(folder.path(), kFacts);
}

TEST_CASE("manifest: the facts come back from a folder that is whole") {
  const TemporaryFolder folder;
  fill(folder);
  CHECK(read_manifest(folder.path()) == kFacts);
  write_manifest(folder.path(), nlohmann::json::object());  // replaces the first, which lists itself nowhere
  CHECK(read_manifest(folder.path()) == nlohmann::json::object());
}

TEST_CASE("manifest: sizes and digests are those of the files") {
  const TemporaryFolder folder;
  fill(folder);
  const auto manifest = nlohmann::json::parse(content_of(folder / kManifestName));
  CHECK(manifest["files"].size() == 3);
  CHECK(manifest["files"]["weights"]["bytes"] == 4);
  // sha256sum of "abcd"
  CHECK(manifest["files"]["weights"]["sha256"] ==
        "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589");
  CHECK(manifest["files"]["deep/er/file"]["bytes"] == 100'000);
}

TEST_CASE("manifest: a file that is missing, changed, longer or new is named") {
  const TemporaryFolder folder;
  fill(folder);
  folder.write("weights", "abcx");
  CHECK_THAT(fault_of(folder), Contains("weights: damaged: expected SHA-256"));
  folder.write("weights", "abcde");
  CHECK_THAT(fault_of(folder), Contains("weights: damaged: expected size in bytes 4, found 5"));
  fs::remove(folder / "weights");
  CHECK_THAT(fault_of(folder), Contains("weights: missing"));
  folder.write("weights", "abcd");
  CHECK(fault_of(folder).empty());
  folder.write("deep/more", "");
  CHECK_THAT(fault_of(folder), Contains("deep/more: not listed"));
  fs::remove(folder / "deep/more");
  fs::create_symlink("weights", folder / "link");
  CHECK_THAT(fault_of(folder), Contains("link: expected a plain file or folder"));
}

TEST_CASE("manifest: a manifest that is missing, damaged or of another version is refused") {
  const TemporaryFolder folder;
  CHECK_THAT(fault_of(folder), Contains("manifest.json"));
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { read_manifest(folder / "missing"); }), Contains("missing"));
  fill(folder);
  const std::string good = content_of(folder / kManifestName);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x01);
    folder.write(kManifestName, damaged);
    INFO("byte " << i);
    nlohmann::json found = kFacts;
    const std::string message = error_of(ErrorKind::kInput, [&] { found = read_manifest(folder.path()); });
    CHECK(found == kFacts);
    // Only white space can change without a trace.
    if (good[i] != '\n' && good[i] != ' ') CHECK_FALSE(message.empty());
  }
  for (std::size_t bytes = 0; bytes + 1 < good.size(); bytes += 7) {
    folder.write(kManifestName, good.substr(0, bytes));
    CHECK_FALSE(fault_of(folder).empty());
  }
  folder.write(kManifestName, R"({"manifest_version": 2})");
  CHECK_THAT(fault_of(folder), Contains("written by manifest version 2, this program reads 1"));
  for (const char* content :
       {"[]", "{}", R"({"manifest_version": 1})", R"({"manifest_version": 1, "facts": 3})",
        R"({"manifest_version": 1, "facts": {}, "files": {}})"}) {
    folder.write(kManifestName, content);
    CHECK_THAT(fault_of(folder), Contains("manifest.json"));
  }
}

TEST_CASE("manifest: entries that are no objects are refused even with a fitting digest") {
  const TemporaryFolder folder;
  fill(folder);
  // SHA-256 of {"facts":{},"files":{"weights":3}}, computed with sha256sum.
  folder.write(kManifestName, R"({"manifest_version":1,"facts":{},"files":{"weights":3},"digest":")"
                              "e9f403d2ef9e9bedf4d2b62cf5e20532db6c5f320743c4e57c0147d20b985ae8"
                              "\"}");
  CHECK_THAT(fault_of(folder), Contains("\"weights\": expected an object"));
}

TEST_CASE("manifest: a message stays on one line whatever names the file has") {
  const TemporaryFolder folder;
  fill(folder);
  // SHA-256 of {"facts":{},"files":{"a\nb":{}}}, computed with sha256sum.
  folder.write(kManifestName, R"({"manifest_version":1,"facts":{},"files":{"a\nb":{}},"digest":")"
                              "281a7ada178d578675e26963adda6ad2d94d8b53f32ba1a767756f820b99b985"
                              "\"}");
  CHECK_THAT(fault_of(folder), Contains("a\\nb: missing; "));
  folder.write(kManifestName, R"({"manifest_version":"1\n2"})");
  CHECK_THAT(fault_of(folder), Contains("written by manifest version \"1\\n2\""));
}

TEST_CASE("manifest: facts that JSON cannot hold are the caller's fault, an unreadable folder the disk's") {
  const TemporaryFolder folder;
  const auto fault = [&](const nlohmann::json& facts) {
    return error_of(ErrorKind::kInternal, [&] { write_manifest(folder.path(), facts); });
  };
  CHECK_THAT(fault(nlohmann::json::array()), Contains("not a JSON object"));
  CHECK_THAT(fault({{"name", "\xff"}}), Contains("manifest.json"));
  CHECK_FALSE(fs::exists(folder / kManifestName));
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_manifest(folder / "missing", kFacts); }),
             Contains("cannot list the folder"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_manifest(folder.path(), kFacts); }),
             Contains("pipe: expected a plain file or folder"));
}

TEST_CASE("manifest: numbers come back exactly") {
  const TemporaryFolder folder;
  const nlohmann::json facts = {{"tenth", 0.1},
                                {"tiny", std::numeric_limits<double>::denorm_min()},
                                {"minus", -0.0},
                                {"large", std::numeric_limits<std::uint64_t>::max()},
                                {"least", std::numeric_limits<std::int64_t>::min()}};
  write_manifest(folder.path(), facts);
  CHECK(read_manifest(folder.path()).dump() == facts.dump());
}

}  // namespace
}  // namespace foresight
