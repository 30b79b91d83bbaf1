#include "trainer/model_files/shard_index.h"

#include "tests/model_files/support.h"

namespace foresight {
namespace {

using Catch::Contains;

std::set<std::string> names_in(const std::string& content) {
  const TemporaryFolder folder;
  return read_shard_names(folder.write("index.json", content));
}

std::string fault_of(const std::string& content) {
  const std::string message = error_of(ErrorKind::kInput, [&] { names_in(content); });
  CHECK_THAT(message, Contains("index.json"));
  return message;
}

TEST_CASE("shard index: each file is named once") {
  const std::filesystem::path folder = reference_folder("llama") / "tiny_untied";
  const std::set<std::string> names = read_shard_names(folder / "model.safetensors.index.json");
  CHECK(names.size() == 6);
  for (const std::string& name : names) CHECK(std::filesystem::exists(folder / name));
  CHECK(names_in(R"({"weight_map": {"a": "x", "b": "y", "c": "x"}})") == std::set<std::string>{"x", "y"});
}

TEST_CASE("shard index: files may lie in folders below") {
  CHECK(names_in(R"({"weight_map": {"a": "x/y.safetensors", "b": "x/z/..w"}})") ==
        std::set<std::string>{"x/y.safetensors", "x/z/..w"});
}

TEST_CASE("shard index: what is no index is refused") {
  CHECK_THAT(fault_of("{"), Contains("expected JSON"));
  CHECK_THAT(fault_of("[]"), Contains("expected a JSON object"));
  CHECK_THAT(fault_of("{}"), Contains("\"weight_map\": expected an object"));
  CHECK_THAT(fault_of(R"({"weight_map": {"a": "x", "a": "y"}})"), Contains("\"a\" occurs twice"));
  CHECK_THAT(fault_of(std::string(1'000'000, '[')), Contains("nested deeper"));
}

TEST_CASE("shard index: a name that leads elsewhere or cannot be shown is refused") {
  for (const char* name : {"../x", "/etc/passwd", "a/../b", "a/..", "a//b", "a/./b", "a/", ".", "..", "",
                           "a\\nb", "a\\u0000b", "a/\\u001bb"}) {
    CHECK_THAT(fault_of(concat(R"({"weight_map": {"q\n": ")", name, "\"}}")),
               Contains("weight_map of 'q\\n': expected the path of a file beside it or below its folder"));
  }
  CHECK_THAT(fault_of(R"({"weight_map": {"a": 3}})"), Contains("weight_map of 'a'"));
}

}  // namespace
}  // namespace foresight
