// Oracle files that are damaged, of another kind or made to do harm.
#include <sys/resource.h>

#include "data/inspect.h"
#include "data/oracle_file.h"
#include "tests/base/temporary_folder.h"
#include "tests/data/oracle_fixture.h"
#include "tests/data/support.h"
#include "tests/data/whole_layer.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

const OracleDimensions kSmall = {.layers = 2, .kv_heads = 3, .tokens = 37, .block_tokens = 8};

/// The message of reading the whole file.
std::string fault_of(const fs::path& path) {
  const std::string message = error_of(ErrorKind::kInput, [&] {
    const OracleReader reader(path);
    for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) whole_layer(reader, layer);
  });
  const std::string by_parts = error_of(ErrorKind::kInput, [&] {
    const OracleReader reader(path);
    for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) reader.open_layer(layer);
  });
  CHECK(by_parts == message);
  // Reading by rows does not check a layer's digest, but the same checksums.
  const std::string by_rows = error_of(ErrorKind::kInput, [&] {
    const OracleReader reader(path);
    const OracleDimensions& dimensions = reader.dimensions();
    for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
      for (std::int64_t block = 0; block < dimensions.blocks(); ++block) reader.read_rows(layer, block, 1);
    }
  });
  if (!Contains("damaged: dataset").match(message)) CHECK(by_rows == message);
  if (!message.empty()) CHECK_THAT(message, Contains(path.filename().string()));
  return message;
}

TEST_CASE("oracle file: deviations from the schema are refused, with what and where") {
  const auto fault = [](const std::string& name) {
    return fault_of(reference_folder("oracle") / concat("bad_", name, ".h5"));
  };
  CHECK_THAT(fault("schema"),
             Contains("written by schema 3, this program reads 1 and 2: run `foresight oracle`"));
  CHECK_THAT(fault("numbers_missing"), Contains("layer_numbers"));
  for (const char* numbers : {"order", "count", "words"}) {
    CHECK_THAT(fault(concat("numbers_", numbers)),
               Contains("attribute layer_numbers: '") && Contains("expected 2 ascending layer numbers"));
  }
  CHECK_THAT(fault("other"), Contains("not an oracle file"));
  CHECK_THAT(fault("soft_link"), Contains("loss is a soft or external link"));
  CHECK_THAT(fault("external_link"), Contains("loss is a soft or external link"));
  CHECK_THAT(fault("virtual"), Contains("dataset loss: virtual, external or not chunked"));
  CHECK_THAT(fault("external_storage"), Contains("dataset loss: virtual, external or not chunked"));
  CHECK_THAT(fault("contiguous"), Contains("dataset loss: virtual, external or not chunked"));
  CHECK_THAT(fault("filter"), Contains("dataset token_ids: unknown filter 32000"));
  CHECK_THAT(fault("type"), Contains("dataset loss: another type than expected"));
  CHECK_THAT(fault("shape"), Contains("dataset loss: shape [9], expected [10]"));
  CHECK_THAT(fault("missing"), Contains("group future_attention: layer_001 is missing"));
  CHECK_THAT(fault("extra"), Contains("group /: 6 members, expected 5"));
  CHECK_THAT(fault("group"), Contains("loss: expected a dataset"));
  CHECK_THAT(fault("claim"), Contains("dataset token_ids: claims 16777216 bytes"));
  CHECK_THAT(fault("chunk"), Contains("dataset loss: chunks [268435456]"));
  CHECK_THAT(fault("digest"), Contains("damaged: digest of attributes and per-token datasets"));
  CHECK_THAT(fault("layer_digest"), Contains("damaged: digest of attributes"));
  CHECK_THAT(fault("layer"), Contains("damaged: dataset layer_001"));
  CHECK_THAT(fault("string"), Contains("attribute trace_id: expected a string of fixed length"));
  CHECK_THAT(fault("string_type"), Contains("attribute trace_id: expected a string of fixed length"));
  CHECK_THAT(fault("string_space"), Contains("attribute trace_id: expected one value"));
  CHECK_THAT(fault("integer_type"), Contains("attribute layers: expected a 64-bit integer"));
  CHECK_THAT(fault("integer_missing"), Contains("attribute layers is missing"));
  CHECK_THAT(fault("layers"), Contains("attribute layers: 1099511627776, expected 1 to 4096"));
  CHECK_THAT(fault("block"), Contains("attribute block_tokens: 0, expected 1"));
}

TEST_CASE("oracle file: a file that is missing, empty, a text or a folder is refused") {
  const TemporaryFolder folder;
  CHECK_THAT(fault_of(folder / "missing.h5"), Contains("run the oracle stage"));
  CHECK_THAT(fault_of(folder.path()), Contains("expected an oracle file"));
  CHECK_THAT(fault_of(folder.write("empty.h5", "")), Contains("does not start like one"));
  CHECK_THAT(fault_of(folder.write("text.h5", std::string(5000, 't'))), Contains("does not start like one"));
}

TEST_CASE("oracle file: a file that cannot be opened now is not called damaged") {
  const fs::path file = reference_folder("oracle") / "bad_layer.h5";
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none = {0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const std::string message = error_of(ErrorKind::kResource, [&] { const OracleReader reader(file); });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_THAT(message, Contains("bad_layer.h5: Too many open files"));
}

TEST_CASE("oracle file: a damaged layer is found by inspect too") {
  CHECK_THAT(
      error_of(ErrorKind::kInput, [] { describe_oracle_file(reference_folder("oracle") / "bad_layer.h5"); }),
      Contains("damaged: dataset layer_001"));
}

TEST_CASE("oracle file: a file cut anywhere is refused") {
  const TemporaryFolder folder;
  write_example(folder / "whole.h5", make_example(kSmall), 1);
  const std::string content = content_of(folder / "whole.h5");
  for (std::size_t bytes = 0; bytes < content.size(); bytes += 53) {
    INFO(bytes);
    CHECK_FALSE(fault_of(folder.write("cut.h5", content.substr(0, bytes))).empty());
  }
  CHECK_FALSE(fault_of(folder.write("cut.h5", content.substr(0, content.size() - 1))).empty());
}

TEST_CASE("oracle file: a flipped byte is detected or changes nothing that is read") {
  const TemporaryFolder folder;
  const OracleExample example = make_example(kSmall);
  for (const int compression : {0, 4}) {
    write_example(folder / "whole.h5", example, compression);
    const std::string content = content_of(folder / "whole.h5");
    std::size_t noticed = 0, tried = 0;
    for (const char flip : {'\x01', '\xff'}) {
      for (std::size_t i = 0; i < content.size(); i += 97, ++tried) {
        INFO("byte " << i);
        std::string damaged = content;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        const fs::path path = folder.write("flipped.h5", damaged);
        bool same = true;
        if (error_of(ErrorKind::kInput, [&] { same = same_as_example(path, example); }).empty()) {
          REQUIRE(same);
        } else {
          ++noticed;
        }
      }
    }
    CHECK(noticed > tried / 2);
  }
}

TEST_CASE("oracle file: a flip inside each dataset's own bytes is detected") {
  const TemporaryFolder folder;
  const OracleExample example = make_example(kSmall);
  write_example(folder / "whole.h5", example, 0);
  const std::string content = content_of(folder / "whole.h5");
  const auto bytes_of = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
  };
  const std::vector<std::string> parts = {
      bytes_of(example.trace.token_ids),  bytes_of(example.trace.loss), bytes_of(example.trace.entropy),
      bytes_of(example.trace.completion), bytes_of(example.layers[0]),  bytes_of(example.layers[1])};
  for (const std::string& part : parts) {
    const std::size_t start = content.find(part);
    REQUIRE(start != std::string::npos);
    for (const std::size_t offset : {std::size_t{0}, part.size() / 2, part.size() - 1}) {
      std::string damaged = content;
      damaged[start + offset] = static_cast<char>(damaged[start + offset] ^ 0x10);
      CHECK_THAT(fault_of(folder.write("flipped.h5", damaged)), Contains("Fletcher32"));
    }
  }
}

}  // namespace
}  // namespace foresight
