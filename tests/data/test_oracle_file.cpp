#include "data/oracle_file.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/inspect.h"
#include "tests/base/temporary_folder.h"
#include "tests/data/oracle_fixture.h"
#include "tests/data/support.h"
#include "tests/data/whole_layer.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

const OracleDimensions kSmall = {.layers = 2, .kv_heads = 3, .tokens = 37, .block_tokens = 8};

TEST_CASE("oracle schema: the packed size is the sum of what each block can see") {
  for (std::int64_t tokens = 1; tokens <= 40; ++tokens) {
    for (std::int64_t block_tokens = 1; block_tokens <= 41; ++block_tokens) {
      const OracleDimensions dimensions{1, 1, tokens, block_tokens};
      std::int64_t pairs = 0, blocks = 0;
      for (std::int64_t first = 0; first < tokens; first += block_tokens, ++blocks) {
        const std::int64_t last_query = std::min(first + block_tokens, tokens) - 1;
        REQUIRE(dimensions.keys_of_block(blocks) == last_query + 1);  // the causal keys of its last query
        REQUIRE(dimensions.first_element(blocks) == pairs);
        REQUIRE(dimensions.elements_of_blocks(blocks, 1) == last_query + 1);
        pairs += last_query + 1;
        REQUIRE(dimensions.elements_of_blocks(0, blocks + 1) == pairs);
      }
      REQUIRE(dimensions.elements_of_blocks(blocks / 2, 0) == 0);
      REQUIRE(dimensions.blocks() == blocks);
      REQUIRE(dimensions.packed_elements() == pairs);
    }
  }
}

TEST_CASE("oracle file: files made with h5py from the documented format give what was put in") {
  const fs::path folder = reference_folder("oracle");
  const auto expected = nlohmann::json::parse(content_of(folder / "good.json"));
  for (const char* name : {"good.h5", "good_compressed.h5"}) {
    const OracleReader reader(folder / name);
    CHECK(reader.path() == folder / name);
    CHECK(reader.dimensions() == OracleDimensions{2, 2, 10, 4});
    CHECK(reader.trace().trace_id == expected["texts"]["trace_id"].get<std::string>());
    CHECK(reader.provenance().config_yaml == expected["texts"]["config_yaml"].get<std::string>());
    CHECK(reader.provenance().code_version.empty());
    CHECK(reader.provenance().dtype == "float32");
    CHECK(reader.trace().token_ids == expected["token_ids"].get<std::vector<std::int32_t>>());
    CHECK(reader.trace().loss == expected["loss"].get<std::vector<float>>());
    CHECK(reader.trace().entropy == expected["entropy"].get<std::vector<float>>());
    CHECK(reader.trace().completion == expected["completion"].get<std::vector<std::uint8_t>>());
    for (std::int64_t layer = 0; layer < 2; ++layer) {
      std::vector<std::uint16_t> bits;
      for (const auto& head : expected["attention_bits"][static_cast<std::size_t>(layer)]) {
        for (const auto& value : head) bits.push_back(value.get<std::uint16_t>());
      }
      CHECK(whole_layer(reader, layer) == bits);
      const OracleLayer opened = reader.open_layer(layer);
      const auto middle = bits.begin() + static_cast<std::ptrdiff_t>(bits.size() / 2);
      CHECK(opened.read_rows(0, 0, 3) == std::vector(bits.begin(), middle));
      // Blocks of 4, 4 and 2 tokens: rows of 4, 8 and 10 numbers.
      CHECK(opened.read_rows(1, 1, 2) == std::vector(middle + 4, bits.end()));
      CHECK_THAT(error_of(ErrorKind::kInternal, [&] { opened.read_rows(2, 0, 1); }), Contains("KV head 2"));
      CHECK_THAT(error_of(ErrorKind::kInternal, [&] { opened.read_rows(0, 1, 3); }), Contains("3 blocks"));
    }
  }
}

TEST_CASE("oracle file: data read back equals what was written, and nothing else is left") {
  const TemporaryFolder folder;
  for (const int compression : {0, 1, 9}) {
    const OracleExample example = make_example(kSmall);
    const fs::path path = folder / concat("new/trace-", compression, ".h5");
    write_example(path, example, compression);
    CHECK(same_as_example(path, example));
    CHECK_FALSE(fs::exists(staging_path(path)));
  }
}

TEST_CASE("oracle file: sizes around the chunks, one token and long texts survive") {
  const TemporaryFolder folder;
  const fs::path path = folder / "trace.h5";
  for (const OracleDimensions& dimensions :
       {OracleDimensions{1, 1, 1, 1}, OracleDimensions{1, 2, 5, 9}, OracleDimensions{1, 3, 1500, 2},
        OracleDimensions{2, 70, 300, 32}}) {
    OracleExample example = make_example(dimensions);
    example.provenance.config_yaml = std::string(200'000, 'y');
    write_example(path, example, 1);
    CHECK(same_as_example(path, example));
  }
}

TEST_CASE("oracle file: the same trace gives the same bytes") {
  const TemporaryFolder folder;
  const OracleExample example = make_example(kSmall);
  write_example(folder / "a.h5", example, 3);
  write_example(folder / "b.h5", example, 3);
  CHECK(content_of(folder / "a.h5") == content_of(folder / "b.h5"));
}

TEST_CASE("oracle file: an uncompressed file is hardly larger than its data") {
  const TemporaryFolder folder;
  const OracleExample example =
      make_example({.layers = 2, .kv_heads = 3, .tokens = 4000, .block_tokens = 16});
  write_example(folder / "a.h5", example, 0);
  const auto data = static_cast<double>(2 * example.layers.size() * example.layers[0].size());
  CHECK(static_cast<double>(fs::file_size(folder / "a.h5")) < data * 1.02 + 100'000);
}

TEST_CASE("oracle file: layers may come in any order, each once and all of them") {
  const TemporaryFolder folder;
  const fs::path path = folder / "trace.h5";
  const OracleExample example = make_example(kSmall);
  const auto fault = [](auto action) { return error_of(ErrorKind::kInternal, action); };
  {
    OracleWriter writer(path, example.dimensions, example.provenance, example.trace, 0);
    writer.write_layer(1, example.layers[1]);
    CHECK_THAT(fault([&] { writer.write_layer(1, example.layers[1]); }),
               Contains("layer 1 was written already"));
    CHECK_THAT(fault([&] { writer.write_layer(2, example.layers[1]); }), Contains("layer 2 of 2"));
    CHECK_THAT(fault([&] { writer.write_layer(-1, example.layers[1]); }), Contains("layer -1 of 2"));
    CHECK_THAT(fault([&] { writer.write_layer(0, std::span(example.layers[0]).subspan(1)); }),
               Contains("layer 0 has") && Contains("expected kv_heads x packed_elements"));
    CHECK_THAT(fault([&] { writer.finish(); }), Contains("layer 0 was not written"));
    writer.write_layer(0, example.layers[0]);
    CHECK_FALSE(fs::exists(path));
    writer.finish();
    CHECK_THAT(fault([&] { writer.finish(); }), Contains("closed already"));
  }
  CHECK(same_as_example(path, example));
}

TEST_CASE("oracle file: a writer that is given up leaves nothing, and an older file stays") {
  const TemporaryFolder folder;
  const fs::path path = folder / "trace.h5";
  const OracleExample example = make_example(kSmall);
  {
    OracleWriter writer(path, example.dimensions, example.provenance, example.trace, 0);
    writer.write_layer(0, example.layers[0]);
  }
  CHECK(fs::is_empty(folder.path()));
  write_example(path, example, 0);
  { OracleWriter writer(path, example.dimensions, example.provenance, example.trace, 0); }
  CHECK(same_as_example(path, example));
}

TEST_CASE("oracle file: a trace that does not fit its dimensions is not written") {
  const TemporaryFolder folder;
  const auto fault = [&](auto change, int compression = 0) {
    OracleExample example = make_example(kSmall);
    change(example);
    return error_of(ErrorKind::kInternal, [&] {
      OracleWriter writer(folder / "trace.h5", example.dimensions, example.provenance, example.trace,
                          compression);
    });
  };
  CHECK_THAT(fault([](OracleExample& e) { e.dimensions.layers = 0; }), Contains("layers is 0"));
  CHECK_THAT(fault([](OracleExample& e) { e.dimensions.block_tokens = 0; }), Contains("block_tokens is 0"));
  CHECK_THAT(fault([](OracleExample& e) { e.dimensions.kv_heads = 5000; }), Contains("kv_heads is 5000"));
  CHECK_THAT(fault([](OracleExample& e) { e.dimensions.tokens = -1; }), Contains("tokens is -1"));
  CHECK_THAT(fault([](OracleExample& e) { e.trace.token_ids.pop_back(); }), Contains("token_ids has 36"));
  CHECK_THAT(fault([](OracleExample& e) { e.trace.loss.pop_back(); }), Contains("loss has 36"));
  CHECK_THAT(fault([](OracleExample& e) { e.trace.entropy.push_back(0); }), Contains("entropy has 38"));
  CHECK_THAT(fault([](OracleExample& e) { e.trace.completion.clear(); }), Contains("completion has 0"));
  CHECK_THAT(fault([](OracleExample& e) { e.provenance.dtype += '\0'; }), Contains("dtype holds a NUL"));
  CHECK_THAT(fault([](OracleExample&) {}, 10), Contains("compression is 10"));
  for (const auto& numbers :
       std::vector<std::vector<std::int64_t>>{{1}, {1, 1}, {2, 1}, {-1, 1}, {1, 4096}}) {
    CHECK_THAT(fault([&](OracleExample& e) { e.dimensions.numbers = numbers; }),
               Contains("expected 2 ascending ones below 4096"));
  }
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("oracle file: a disk that fills up is a resource error, wherever it happens, and leaves no file") {
  const TemporaryFolder folder;
  const OracleExample example = make_example({.layers = 3, .kv_heads = 2, .tokens = 300, .block_tokens = 4});
  write_example(folder / "whole.h5", example, 0);
  const auto whole = fs::file_size(folder / "whole.h5");
  fs::remove(folder / "whole.h5");
  for (const rlim_t bytes : {rlim_t{0}, rlim_t{500}, rlim_t{4000}, rlim_t{20'000}, rlim_t{whole / 2},
                             rlim_t{whole - 20'000}, rlim_t{whole - 1}}) {
    INFO(bytes);
    {
      const FileSizeLimit limit(bytes);
      const std::string message =
          error_of(ErrorKind::kResource, [&] { write_example(folder / "trace.h5", example, 0); });
      CHECK_THAT(message, Contains("trace.h5: cannot write: ") && Contains("free disk space"));
    }
    CHECK(fs::is_empty(folder.path()));
  }
  write_example(folder / "trace.h5", example, 0);
  CHECK(same_as_example(folder / "trace.h5", example));
}

TEST_CASE("oracle file: a process whose disk filled up ends with its own exit status") {
  // HDF5 cleans up at the end of the process, and crashes there after a write that failed.
  const TemporaryFolder folder;
  const OracleExample example = make_example({.layers = 2, .kv_heads = 3, .tokens = 800, .block_tokens = 8});
  for (const rlim_t bytes : {rlim_t{1024}, rlim_t{100'000}, rlim_t{400'000}}) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      // Counters of scripts/coverage.sh are written at exit; under the limit they would end half written.
      ::setenv("GCOV_PREFIX", "/dev/null/none", 1);
      const FileSizeLimit limit(bytes);
      try {
        write_example(folder / "trace.h5", example, 0);
      } catch (const Error& error) {
        std::exit(error.exit_code());
      }
      std::exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == static_cast<int>(ErrorKind::kResource));
    CHECK(fs::is_empty(folder.path()));
  }
}

TEST_CASE("oracle file: a folder that cannot be made or more data than the disk holds is a resource error") {
  const TemporaryFolder folder;
  const OracleExample example = make_example(kSmall);
  const fs::path file = folder.write("file", "x");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_example(file / "trace.h5", example, 0); }),
             Contains("cannot create folder"));
  fs::create_directory(folder / "trace.h5.foresight.partial");
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_example(folder / "trace.h5", example, 0); }),
             Contains("trace.h5: cannot write: Is a directory"));

  OracleExample huge = make_example({.layers = 1, .kv_heads = 1, .tokens = 1 << 20, .block_tokens = 1 << 20});
  huge.dimensions = {.layers = 4096, .kv_heads = 4096, .tokens = 1 << 20, .block_tokens = 1};
  CHECK_THAT(
      error_of(
          ErrorKind::kResource,
          [&] { OracleWriter writer(folder / "huge.h5", huge.dimensions, huge.provenance, huge.trace, 0); }),
      Contains("free disk space"));
}

TEST_CASE("oracle file: a file that reads back differently is a resource error") {
  const TemporaryFolder folder;
  const fs::path staging = folder / "trace.h5.foresight.partial";
  write_example(staging, make_example(kSmall), 0);
  CHECK_NOTHROW(require_readable_oracle(folder / "trace.h5", staging, kSmall.layers));
  std::string bytes = content_of(staging);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  bytes[bytes.size() / 4] = static_cast<char>(bytes[bytes.size() / 4] ^ 1);
  folder.write("trace.h5.foresight.partial", bytes);
  CHECK_THAT(error_of(ErrorKind::kResource,
                      [&] { require_readable_oracle(folder / "trace.h5", staging, kSmall.layers); }),
             Contains("cannot write") && Contains("trace.h5: it does not read back as written"));
}

TEST_CASE("oracle file: a reader can be moved, and a layer beyond the file is the caller's fault") {
  const TemporaryFolder folder;
  const OracleExample example = make_example(kSmall);
  write_example(folder / "a.h5", example, 0);
  OracleReader first(folder / "a.h5");
  OracleReader second = std::move(first);
  CHECK(whole_layer(second, 1) == example.layers[1]);
  OracleReader third(reference_folder("oracle") / "good.h5");
  third = std::move(second);
  CHECK(whole_layer(third, 0) == example.layers[0]);
  CHECK_THAT(error_of(ErrorKind::kInternal, [&] { whole_layer(third, 2); }),
             Contains("layer 2 was asked for"));
  CHECK_THAT(error_of(ErrorKind::kInternal, [&] { whole_layer(third, -1); }), Contains("layer -1"));
}

/// Rows of blocks first .. first + count - 1 of all KV heads, cut out of a whole layer by the words of the
/// format.
std::vector<std::uint16_t> cut_rows(const std::vector<std::uint16_t>& layer,
                                    const OracleDimensions& dimensions, std::int64_t first,
                                    std::int64_t count) {
  std::vector<std::uint16_t> rows;
  auto next = layer.begin();
  for (std::int64_t head = 0; head < dimensions.kv_heads; ++head) {
    for (std::int64_t block = 0; block * dimensions.block_tokens < dimensions.tokens; ++block) {
      const auto end = next + std::min((block + 1) * dimensions.block_tokens, dimensions.tokens);
      if (block >= first && block < first + count) rows.insert(rows.end(), next, end);
      next = end;
    }
  }
  return rows;
}

TEST_CASE("oracle file: the rows of some blocks are those of the whole layer, plain and compressed") {
  const TemporaryFolder folder;
  // The second lies in several chunks a row, the third in chunks of several rows.
  for (const OracleDimensions& dimensions :
       {kSmall, OracleDimensions{1, 3, 1500, 2}, OracleDimensions{1, 70, 300, 32}}) {
    const OracleExample example = make_example(dimensions);
    for (const int compression : {0, 1}) {
      write_example(folder / "a.h5", example, compression);
      const OracleReader reader(folder / "a.h5");
      const std::int64_t blocks = dimensions.blocks(), layer = dimensions.layers - 1;
      for (const std::int64_t first : {std::int64_t{0}, blocks / 3, blocks - 2, blocks - 1}) {
        for (const std::int64_t count : {std::int64_t{1}, std::int64_t{2}, blocks - first}) {
          if (first + count > blocks) continue;
          INFO(dimensions.tokens << " tokens, blocks from " << first << ", " << count);
          CHECK(reader.read_rows(layer, first, count) ==
                cut_rows(example.layers[static_cast<std::size_t>(layer)], dimensions, first, count));
        }
      }
    }
  }
}

TEST_CASE("oracle file: rows of layers or blocks beyond the file are the caller's fault") {
  const TemporaryFolder folder;
  write_example(folder / "a.h5", make_example(kSmall), 0);
  const OracleReader reader(folder / "a.h5");
  const auto fault = [&](std::int64_t layer, std::int64_t first, std::int64_t count) {
    return error_of(ErrorKind::kInternal, [&] { reader.read_rows(layer, first, count); });
  };
  CHECK_THAT(fault(2, 0, 1), Contains("a.h5: layer 2 was asked for, it holds 2"));
  CHECK_THAT(fault(-1, 0, 1), Contains("layer -1"));
  CHECK_THAT(fault(0, 5, 1), Contains("1 blocks from 5 on were asked for, it holds 5"));
  CHECK_THAT(fault(0, 4, 2), Contains("2 blocks from 4 on"));
  CHECK_THAT(fault(0, -1, 1), Contains("from -1 on"));
  CHECK_THAT(fault(0, 0, 0), Contains("0 blocks"));
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  CHECK_THAT(fault(0, kLargest, kLargest), Contains("were asked for"));
}

TEST_CASE("oracle file: another model or tokenizer is refused, naming both") {
  const TemporaryFolder folder;
  write_example(folder / "a.h5", make_example(kSmall), 0);
  const OracleReader reader(folder / "a.h5");
  CHECK_NOTHROW(require_same_source(reader, "model-digest", "tokenizer-digest"));
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { require_same_source(reader, "other", "tokenizer-digest"); }),
             Contains("a.h5") && Contains("model model-digest") && Contains("model other"));
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { require_same_source(reader, "model-digest", "other"); }),
             Contains("tokenizer tokenizer-digest") && Contains("tokenizer other"));
}

TEST_CASE("oracle file: the files of a split are listed by index, and nothing else is") {
  const TemporaryFolder folder;
  CHECK(oracle_file_path(folder.path(), "train", 3) == folder / "train-000003.h5");
  CHECK(oracle_file_path(folder.path(), "train", 1234567) == folder / "train-1234567.h5");
  for (const char* name :
       {"train-000010.h5", "train-000002.h5", "train-1000000.h5", "train-000003.h5.foresight.partial",
        "train-12.h5", "train-00000x.h5", "validation-000001.h5", "train-.h5", "train.h5", "notes"}) {
    folder.write(name, "");
  }
  CHECK(oracle_files(folder.path(), "train") == std::vector<fs::path>{folder / "train-000002.h5",
                                                                      folder / "train-000010.h5",
                                                                      folder / "train-1000000.h5"});
  CHECK(oracle_files(folder.path(), "validation").size() == 1);
  CHECK(oracle_files(folder.path(), "evaluation").empty());
  CHECK(oracle_files(folder / "missing", "train").empty());
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { oracle_files(folder / "notes", "train"); }),
             Contains("cannot list"));
}

TEST_CASE("inspect: an oracle file is described with dimensions, provenance and datasets") {
  const auto facts = describe_oracle_file(reference_folder("oracle") / "good.h5");
  CHECK(facts["kind"] == "oracle");
  CHECK(facts["schema_version"] == 1);
  CHECK(facts["dimensions"]["layers"] == 2);
  CHECK(facts["dimensions"]["packed_elements"] == 4 + 8 + 10);
  CHECK(facts["trace"]["trace_id"] == "train-000003");
  CHECK(facts["trace"]["completion_tokens"] == 3);
  CHECK(facts["provenance"]["dtype"] == "float32");
  REQUIRE(facts["datasets"].size() == 6);
  CHECK(facts["datasets"][5]["name"] == "/future_attention/layer_001");
  CHECK(facts["datasets"][5]["dtype"] == "float16");
  CHECK(facts["datasets"][5]["shape"] == std::vector<int>{2, 22});
  CHECK(facts["datasets"][5]["bytes"] == 88);
  const auto expected = nlohmann::json::parse(content_of(reference_folder("oracle") / "good.json"));
  double sum = 0;
  for (std::size_t t = 1; t < 10; ++t) sum += expected["loss"][t].get<double>();
  CHECK(facts["trace"]["mean_loss_nats"].get<double>() == Approx(sum / 9));

  const TemporaryFolder folder;
  write_example(folder / "one.h5", make_example({1, 1, 1, 1}), 0);
  CHECK(describe_oracle_file(folder / "one.h5")["trace"]["mean_loss_nats"] == 0.0);
}

}  // namespace
}  // namespace foresight
