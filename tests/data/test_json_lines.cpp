#include "data/json_lines.h"

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/input_error.h"

namespace foresight {
namespace {

using Catch::Contains;
using Lines = std::vector<std::string>;

Lines lines_of(const std::string& content) {
  const TemporaryFolder folder;
  Lines lines;
  for_each_line(folder.write("rows.jsonl", content), [&](const std::string& line, std::int64_t number) {
    lines.push_back(std::to_string(number) + ":" + line);
  });
  return lines;
}

/// Message of the Error(kInput) that reading the rows of this content ends with.
std::string refusal(const std::string& content) {
  const TemporaryFolder folder;
  return input_error([&] {
    for_each_line(folder.write("rows.jsonl", content), [](const std::string& line, std::int64_t number) {
      RowReader(line, "rows.jsonl:" + std::to_string(number));
    });
  });
}

TEST_CASE("json lines: files of other kinds are named with what to do", "[data]") {
  CHECK_THAT(refusal(std::string("\x1f\x8b\x08\x00", 4) + "..."), Contains("gzip") && Contains("gunzip -k"));
  CHECK_THAT(refusal("\x28\xb5\x2f\xfd..."), Contains("zstd"));
  CHECK_THAT(refusal("BZh91AY"), Contains("bzip2"));
  CHECK_THAT(refusal("\xfd"
                     "7zXZ"),
             Contains("xz"));
  CHECK_THAT(refusal("PK\x03\x04"), Contains("zip archive"));
  CHECK_THAT(refusal("PAR1..."), Contains("Parquet") && Contains("foresight-rows FILE --out rows.jsonl"));
  CHECK_THAT(refusal("ARROW1.."), Contains("Arrow file") && Contains("foresight-rows FILE"));
  CHECK_THAT(refusal("\xff\xff\xff\xff\x10"), Contains("Arrow file") && Contains("foresight-rows FILE"));
  CHECK_THAT(refusal("version https://git-lfs.github.com/spec/v1\n"), Contains("git lfs pull"));
  CHECK_THAT(refusal("[{\"text\": \"a\"}]"),
             Contains("rows.jsonl:1: expected a JSON object, got array") && Contains("jq -c '.[]'"));
  CHECK_THAT(refusal("[\n  {\"text\": \"a\"}\n]\n"), Contains("rows.jsonl:1: ") && Contains("jq -c '.[]'"));
  CHECK_THAT(refusal("{\n  \"text\": \"a\"\n}\n"), Contains("rows.jsonl:1: ") && Contains("jq -c ."));
}

TEST_CASE("json lines: a byte order mark is not part of the first row", "[data]") {
  CHECK(lines_of("\xEF\xBB\xBF{}\r\n\n {}") == Lines{"1:{}\r", "3: {}"});
}

TEST_CASE("json lines: NaN and Infinity, which Python writes, count as absent", "[data]") {
  const RowReader row(R"({"text": "NaN, -Infinity \" NaN", "a": NaN, "b": [Infinity, -Infinity, 1], "c": 5})",
                      "r:1");
  CHECK(row.text("text") == "NaN, -Infinity \" NaN");
  CHECK_FALSE(row.has("a"));
  CHECK(row.at("b").dump() == "[null,null,1]");
  CHECK(row.text_or_number("c") == "5");
  CHECK_THROWS_WITH(row.text("a"), Contains("r:1: has no \"a\""));
  CHECK_THROWS_WITH(RowReader(R"({"a": NaNs})", "r:1"), Contains("expected JSON"));
}

TEST_CASE("json lines: a number that JSON readers round is refused, and named", "[data]") {
  const RowReader row(R"({"small": 9007199254740993, "large": 100000000000000000007, "half": 0.5})", "r:1");
  CHECK(row.text_or_number("small") == "9007199254740993");
  CHECK(row.text_or_number("half") == "0.5");
  CHECK_THROWS_WITH(row.text_or_number("large"), Contains("r:1: \"large\": the number 1e+20 is too large"));
}

TEST_CASE("json lines: a column is found in capitals if its own name is missing", "[data]") {
  const RowReader row(R"({"Text": "large", "TEXT": "larger", "id": 1, "answer": null, "Answer": "A"})",
                      "r:1");
  CHECK(row.text("text") == "large");
  CHECK(RowReader(R"({"Text": "large", "text": "own"})", "r:1").text("text") == "own");
  CHECK_FALSE(row.has("answer"));  // null: the row says that there is none
  CHECK_FALSE(row.has_list("id"));
}

}  // namespace
}  // namespace foresight
