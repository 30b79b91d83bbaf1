#include "data/safetensors.h"

#include <array>
#include <cstring>
#include <nlohmann/json.hpp>

#include "data/inspect.h"
#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

std::string length_field(std::uint64_t length) {
  std::string field(8, '\0');
  std::memcpy(field.data(), &length, 8);
  return field;
}

std::string file_of(const std::string& header, const std::string& data) {
  return length_field(header.size()) + header + data;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", static_cast<unsigned>(byte));
    text += digits.data();
  }
  return text;
}

/// The message of opening a file with this content.
std::string fault_of(const std::string& content) {
  const TemporaryFolder folder;
  const fs::path path = folder.write("bad.safetensors", content);
  const std::string message = error_of(ErrorKind::kInput, [&] { SafetensorsFile file(path); });
  if (!message.empty()) CHECK_THAT(message, Contains("bad.safetensors"));
  return message;
}

std::span<const std::byte> bytes_of(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

TEST_CASE("safetensors: a file of the Python package reads back with every type, shape and byte") {
  const fs::path folder = reference_folder("safetensors");
  const auto expected = nlohmann::json::parse(content_of(folder / "mixed.json"));
  const SafetensorsFile file(folder / "mixed.safetensors");
  CHECK(file.metadata() == expected["metadata"].get<std::map<std::string, std::string>>());
  CHECK(file.tensors().size() == expected["tensors"].size());
  for (const auto& [name, facts] : expected["tensors"].items()) {
    INFO(name);
    const TensorView& tensor = file.at(name);
    CHECK(dtype_name(tensor.dtype) == facts["dtype"].get<std::string>());
    CHECK(tensor.shape == facts["shape"].get<std::vector<std::int64_t>>());
    CHECK(hex(tensor.bytes) == facts["hex"].get<std::string>());
  }
}

TEST_CASE("safetensors: the reference vectors open and their tensors have the documented shapes") {
  const SafetensorsFile file(reference_folder("vectors") / "pairwise_loss.safetensors");
  CHECK(!file.tensors().empty());
  for (const char* name : {"grpo", "scorer_gqa3_B128_W32", "scorer_mha_B64_W16", "sl_layer_loss_grads"}) {
    const SafetensorsFile other(reference_folder("vectors") / concat(name, ".safetensors"));
    CHECK(!other.tensors().empty());
  }
  const SafetensorsFile scorer(reference_folder("vectors") / "scorer_mha_B64_W16.safetensors");
  REQUIRE(scorer.at("q").shape.size() == 4);
  CHECK(scorer.at("q").shape[0] == 1);
}

TEST_CASE("safetensors: a tensor that is not there is named with the file") {
  const SafetensorsFile file(reference_folder("safetensors") / "mixed.safetensors");
  CHECK(file.contains("scalar"));
  CHECK_FALSE(file.contains("weight"));
  const std::string message = error_of(ErrorKind::kInput, [&] { file.at("weight"); });
  CHECK_THAT(message, Contains("\"weight\"") && Contains("mixed.safetensors"));
}

TEST_CASE("safetensors: rank 0, no elements, no tensors and padding are fine") {
  const TemporaryFolder folder;
  const std::string header = R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                             R"("z":{"dtype":"I64","shape":[3,0],"data_offsets":[4,4]}}  )";
  const SafetensorsFile file(folder.write("small.safetensors", file_of(header, "abcd")));
  CHECK(file.at("s").bytes.size() == 4);
  CHECK(file.at("s").shape.empty());
  CHECK(file.at("z").bytes.empty());
  CHECK(SafetensorsFile(folder.write("none.safetensors", file_of("{}", ""))).tensors().empty());
}

TEST_CASE("safetensors: a file that is no safetensors file is refused") {
  CHECK_THAT(fault_of(""), Contains("holds 0 bytes"));
  CHECK_THAT(fault_of("abc"), Contains("holds 3 bytes"));
  CHECK_THAT(fault_of(length_field(100) + "{}"), Contains("truncated: header of 100 bytes"));
  CHECK_THAT(fault_of(length_field(~std::uint64_t{0}) + "{}"), Contains("at most 100000000"));
  CHECK_THAT(fault_of(length_field(100'000'001) + "{}"), Contains("at most 100000000"));
  CHECK_THAT(fault_of("This is a text file of some length.\n"), Contains("not a safetensors file"));
  CHECK_THAT(fault_of(file_of("", "")), Contains("start with {"));
  CHECK_THAT(fault_of(file_of("[1]", "")), Contains("start with {"));
  CHECK_THAT(fault_of(file_of("{\"a\":", "")), Contains("expected JSON"));
  CHECK_THAT(fault_of(file_of("{} x", "")), Contains("expected JSON"));
  CHECK_THAT(fault_of(file_of("{\"\xff\":1}", "")), Contains("expected JSON"));
  std::string deep = "{\"a\":";
  for (int i = 0; i < 100000; ++i) deep += '[';
  CHECK_THAT(fault_of(file_of(deep, "")), Contains("nested deeper"));
  CHECK_THAT(error_of(ErrorKind::kInput, [] { SafetensorsFile file("/nonexistent/x.safetensors"); }),
             Contains("x.safetensors"));
}

TEST_CASE("safetensors: a tensor entry that is not as the format says is refused, naming the tensor") {
  const auto fault = [](const std::string& entry) {
    return fault_of(file_of("{\"weight\":" + entry + "}", "abcd"));
  };
  for (const char* entry : {"3", "[]", "{}", R"({"dtype":"F32","shape":[1]})",
                            R"({"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1})"}) {
    CHECK_THAT(fault(entry), Contains("\"weight\"") && Contains("dtype, shape and data_offsets"));
  }
  CHECK_THAT(fault(R"({"dtype":"F33","shape":[1],"data_offsets":[0,4]})"),
             Contains("\"weight\"") && Contains("\"F33\" is not known"));
  CHECK_THAT(fault(R"({"dtype":32,"shape":[1],"data_offsets":[0,4]})"), Contains("32 is not known"));
  for (const char* shape : {"4", "[-1]", "[1.0]", "[\"1\"]", "[9223372036854775808]", "[1e3]", "{}"}) {
    CHECK_THAT(fault(concat(R"({"dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,4]})")),
               Contains("\"weight\": shape: expected a list of integers"));
  }
  for (const char* offsets : {"[0]", "[0,4,8]", "[4,0]"}) {
    CHECK_THAT(fault(concat(R"({"dtype":"F32","shape":[1],"data_offsets":)", offsets, "}")),
               Contains("expected [begin, end]"));
  }
  CHECK_THAT(fault(R"({"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]})"),
             Contains("overflows"));
  CHECK_THAT(fault(R"({"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]})"),
             Contains("overflows"));
  CHECK_THAT(fault(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"), Contains("needs 8 bytes"));
}

TEST_CASE("safetensors: names and metadata that are ambiguous or of another type are refused") {
  const std::string entry = R"({"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  CHECK_THAT(fault_of(file_of("{\"a\":" + entry + ",\"a\":" + entry + "}", "ab")),
             Contains("\"a\" occurs twice"));
  CHECK_THAT(fault_of(file_of(R"({"a":{"dtype":"U8","dtype":"I8","shape":[2],"data_offsets":[0,2]}})", "ab")),
             Contains("\"dtype\" occurs twice"));
  CHECK_THAT(fault_of(file_of("{\"__metadata__\":[]}", "")), Contains("__metadata__"));
  CHECK_THAT(fault_of(file_of("{\"__metadata__\":{\"k\":3}}", "")), Contains("\"k\": expected a string"));
}

TEST_CASE("safetensors: tensors that do not cover the data exactly are refused") {
  const auto fault = [](int begin_a, int end_a, int begin_b, int end_b, const std::string& data) {
    return fault_of(
        file_of(concat(R"({"a":{"dtype":"U8","shape":[)", end_a - begin_a, R"(],"data_offsets":[)", begin_a,
                       ",", end_a, R"(]},"b":{"dtype":"U8","shape":[)", end_b - begin_b,
                       R"(],"data_offsets":[)", begin_b, ",", end_b, "]}}"),
                data));
  };
  CHECK(fault(0, 4, 4, 8, "12345678").empty());
  CHECK(fault(4, 8, 0, 4, "12345678").empty());  // the header's order of names is free
  CHECK_THAT(fault(0, 4, 2, 8, "12345678"), Contains("\"b\"") && Contains("overlaps"));
  CHECK_THAT(fault(0, 4, 0, 4, "1234"), Contains("overlaps"));
  CHECK_THAT(fault(0, 4, 6, 8, "12345678"), Contains("\"b\"") && Contains("gap"));
  CHECK_THAT(fault(1, 4, 4, 8, "12345678"), Contains("\"a\"") && Contains("gap"));
  CHECK_THAT(fault(0, 4, 4, 8, "1234567"), Contains("truncated") && Contains("\"b\""));
  CHECK_THAT(fault(0, 4, 4, 8, "123456789"), Contains("1 bytes follow the last tensor"));
}

TEST_CASE("safetensors: a shape overflows even where one of its sizes is 0") {
  const std::string header =
      R"({"z":{"dtype":"U8","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}})";
  CHECK_THAT(fault_of(file_of(header, "")), Contains("\"z\"") && Contains("overflows"));
}

TEST_CASE("safetensors: a message stays short and on one line whatever names and shapes are") {
  const std::string message =
      fault_of(file_of(R"({"a\n\u001b[2J":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", "12345678"));
  CHECK_THAT(message, Contains("tensor \"a\\n\\x1b[2J\": F32 [1] needs 4 bytes"));
  std::string shape = "1";
  for (int i = 0; i < 100'000; ++i) shape += ",1";
  const std::string longest = concat("{\"", std::string(100'000, 'n'), R"(":{"dtype":"F32","shape":[)", shape,
                                     R"(],"data_offsets":[0,8]}})");
  CHECK(fault_of(file_of(longest, "12345678")).size() < 1000);
}

TEST_CASE("safetensors: what is written reads back, in a file whose data is aligned") {
  const TemporaryFolder folder;
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6}, bias = {7};
  const fs::path path = folder / "new/scorer.safetensors";
  write_safetensors(path,
                    {{"weight", Dtype::kFloat32, {2, 3}, bytes_of(weight)},
                     {"bias", Dtype::kFloat32, {}, bytes_of(bias)},
                     {"none", Dtype::kBfloat16, {0}, {}}},
                    {{"kind", "tést"}});
  const SafetensorsFile file(path);
  CHECK(file.tensors().size() == 3);
  CHECK(file.metadata().at("kind") == "tést");
  CHECK(file.at("weight").shape == std::vector<std::int64_t>{2, 3});
  CHECK(hex(file.at("weight").bytes) == hex(bytes_of(weight)));
  CHECK(hex(file.at("bias").bytes) == hex(bytes_of(bias)));
  const std::string content = content_of(path);
  CHECK(content[0] % 8 == 0);
  CHECK_FALSE(fs::exists(staging_path(path)));

  write_safetensors(path, {}, {});
  CHECK(SafetensorsFile(path).tensors().empty());
}

TEST_CASE("safetensors: an existing file is replaced whole while another still reads it") {
  const TemporaryFolder folder;
  const std::vector<float> before = {1}, after = {2};
  const fs::path path = folder / "a.safetensors";
  write_safetensors(path, {{"x", Dtype::kFloat32, {1}, bytes_of(before)}}, {});
  SafetensorsFile old(path);
  write_safetensors(path, {{"x", Dtype::kFloat32, {1}, bytes_of(after)}}, {});
  const SafetensorsFile moved = std::move(old);
  CHECK(hex(moved.at("x").bytes) == hex(bytes_of(before)));
  CHECK(hex(SafetensorsFile(path).at("x").bytes) == hex(bytes_of(after)));
}

TEST_CASE("safetensors: tensors that do not fit what is said of them are not written") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.safetensors";
  const std::vector<float> one = {1};
  const auto fault = [&](const std::vector<TensorToWrite>& tensors,
                         const std::map<std::string, std::string>& metadata = {}) {
    return error_of(ErrorKind::kInternal, [&] { write_safetensors(path, tensors, metadata); });
  };
  const TensorToWrite good = {"x", Dtype::kFloat32, {1}, bytes_of(one)};
  CHECK_THAT(fault({{"x", Dtype::kFloat32, {2}, bytes_of(one)}}),
             Contains("\"x\"") && Contains("does not fit"));
  CHECK_THAT(fault({{"x", Dtype::kFloat32, {-1}, bytes_of(one)}}), Contains("does not fit"));
  CHECK_THAT(fault({good, good}), Contains("\"x\" is taken"));
  CHECK_THAT(fault({{"__metadata__", Dtype::kFloat32, {1}, bytes_of(one)}}), Contains("is taken"));
  CHECK_THAT(fault({good}, {{"k", "\xff"}}), Contains("not UTF-8"));
  CHECK_THAT(error_of(ErrorKind::kInternal, [] { dtype_bytes(static_cast<Dtype>(99)); }), Contains("99"));
  CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("safetensors: a disk fault is a resource error and leaves the old file alone") {
  const TemporaryFolder folder;
  const std::vector<float> small = {1}, large(10000, 2.0F);
  const fs::path path = folder / "a.safetensors";
  write_safetensors(path, {{"x", Dtype::kFloat32, {1}, bytes_of(small)}}, {});
  {
    const FileSizeLimit limit(1000);
    CHECK_THAT(error_of(ErrorKind::kResource,
                        [&] {
                          write_safetensors(path, {{"x", Dtype::kFloat32, {10000}, bytes_of(large)}}, {});
                        }),
               Contains("a.safetensors"));
  }
  CHECK(hex(SafetensorsFile(path).at("x").bytes) == hex(bytes_of(small)));
  CHECK_FALSE(fs::exists(staging_path(path)));
  CHECK_THAT(error_of(ErrorKind::kResource, [&] { write_safetensors(path / "below", {}, {}); }),
             Contains("a.safetensors"));
}

TEST_CASE("inspect: a safetensors file is described with its tensors and metadata") {
  const auto facts = describe_safetensors(reference_folder("safetensors") / "mixed.safetensors");
  CHECK(facts["kind"] == "safetensors");
  CHECK(facts["metadata"]["format"] == "pt");
  CHECK(facts["file_bytes"] == fs::file_size(reference_folder("safetensors") / "mixed.safetensors"));
  std::uint64_t bytes = 0;
  bool found = false;
  for (const auto& tensor : facts["tensors"]) {
    bytes += tensor["bytes"].get<std::uint64_t>();
    if (tensor["name"] != "bfloat16") continue;
    found = true;
    CHECK(tensor["dtype"] == "BF16");
    CHECK(tensor["shape"] == std::vector<int>{4, 3});
    CHECK(tensor["bytes"] == 24);
  }
  CHECK(found);
  CHECK(bytes < facts["file_bytes"].get<std::uint64_t>());
  CHECK(facts["elements"] == 6 + 24 + 5 + 12 + 3 + 2 + 2 + 3 + 3 + 3 + 1 + 0 + 1);
}

TEST_CASE("safetensors: a file that is filled piece by piece is the one that is written at once") {
  const TemporaryFolder folder;
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6};
  const std::vector<std::int16_t> words = {7, 8};
  write_safetensors(folder.path() / "whole",
                    {{"a", Dtype::kFloat32, {2, 3}, std::as_bytes(std::span(numbers))},
                     {"b", Dtype::kInt16, {2}, std::as_bytes(std::span(words))}},
                    {{"k", "v"}});
  SafetensorsWriter writer(folder.path() / "pieces",
                           {{"a", Dtype::kFloat32, {2, 3}}, {"b", Dtype::kInt16, {2}}}, {{"k", "v"}});
  writer.fill("b", 1, std::as_bytes(std::span(words).subspan(1)));
  writer.fill("a", 3, std::as_bytes(std::span(numbers).subspan(3)));
  writer.fill("a", 0, std::as_bytes(std::span(numbers).first(3)));
  writer.fill("b", 0, std::as_bytes(std::span(words).first(1)));
  CHECK_FALSE(fs::exists(folder.path() / "pieces"));
  writer.publish();
  CHECK(read_file(folder.path() / "pieces") == read_file(folder.path() / "whole"));
}

TEST_CASE("safetensors: pieces beyond a tensor, of none, or of names given twice are refused") {
  const TemporaryFolder folder;
  SafetensorsWriter writer(folder.path() / "file", {{"a", Dtype::kFloat32, {2}}}, {});
  const std::vector<float> numbers = {1, 2};
  REQUIRE_THROWS_WITH(writer.fill("a", 1, std::as_bytes(std::span(numbers))),
                      Contains("8 bytes from element 1 of tensor \"a\""));
  REQUIRE_THROWS_WITH(writer.fill("a", -1, {}), Contains("element -1"));
  REQUIRE_THROWS_WITH(writer.fill("z", 0, {}), Contains("tensor \"z\""));
  REQUIRE_THROWS_WITH(
      SafetensorsWriter(folder.path() / "twice", {{"a", Dtype::kBool, {1}}, {"a", Dtype::kBool, {1}}}, {}),
      Contains("is taken"));
  CHECK_FALSE(fs::exists(folder.path() / "twice"));
}

}  // namespace
}  // namespace foresight
