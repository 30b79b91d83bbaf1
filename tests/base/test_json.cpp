#include "trainer/base/json.h"

#include <string>

#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

using Catch::Contains;

std::string fault_of(const std::string& text, int max_depth = 3) {
  try {
    parse_json_strictly(text, "file.json", max_depth);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

TEST_CASE("json: values come back as from any parser") {
  const auto value = parse_json_strictly(R"( {"a": [1, 2.5, null], "b": {"a": "ä"}} )", "file.json", 2);
  CHECK(value["a"][1] == 2.5);
  CHECK(value["b"]["a"] == "ä");
  CHECK(parse_json_strictly("3", "file.json", 0) == 3);
}

TEST_CASE("json: a key twice in one object is refused, once in each of two objects it is not") {
  CHECK_THAT(fault_of(R"({"a":1,"a":2})"), Contains("file.json: the key \"a\" occurs twice"));
  CHECK_THAT(fault_of(R"({"x":{"k":1,"k":1}})"), Contains("\"k\""));
  CHECK_THAT(fault_of(R"([{"\u0061":1,"a":2}])"), Contains("twice"));
  CHECK(fault_of(R"([{"a":1},{"a":{"a":2}}])").empty());
}

TEST_CASE("json: nesting has a limit, and a hostile depth does not exhaust the stack") {
  CHECK(fault_of("[[[1]]]").empty());
  CHECK_THAT(fault_of("[[[[1]]]]"), Contains("nested deeper than 3"));
  CHECK_THAT(fault_of("{\"a\":[[{}]]}"), Contains("nested deeper than 3"));
  CHECK_THAT(fault_of(std::string(1'000'000, '['), 1000), Contains("nested deeper than 1000"));
}

TEST_CASE("json: text that is not JSON or not UTF-8 is refused on one line") {
  for (const std::string text :
       {"", "{", "{\"a\":1,}", "nan", "[1] 2", "\"\xff\"", "{\"\xc3\":1}", "[1e999]"}) {
    const std::string message = fault_of(text);
    CHECK_THAT(message, Contains("file.json: expected JSON"));
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("json: a message stays short and on one line whatever the text is") {
  const std::string twice = fault_of(R"({"a\n\u001b":1,"a\n\u001b":2})");
  CHECK_THAT(twice, Contains("the key \"a\\n\\x1b\" occurs twice"));
  CHECK(fault_of("{\"" + std::string(1'000'000, 'x') + "\" 1}").size() < 1000);
  CHECK(fault_of("\"" + std::string(1'000'000, 'x') + "\x01\"").size() < 1000);
}

TEST_CASE("json: the ordered form keeps the order of keys, and their number is bounded") {
  CHECK(parse_ordered_json_strictly(R"({"b": {"z": 1, "a": 2}, "a": []})", "x", 4).dump() ==
        R"({"b":{"z":1,"a":2},"a":[]})");
  CHECK_THROWS_WITH(parse_ordered_json_strictly(R"({"a": 1, "a": 2})", "x", 4),
                    Catch::Contains("x: the key \"a\" occurs twice"));
  CHECK_THROWS_WITH(parse_ordered_json_strictly("[[[1]]]", "x", 2), Catch::Contains("nested deeper than 2"));
  std::string many;
  for (int i = 0; i < 1025; ++i) many += (i == 0 ? "{\"" : ",\"") + std::to_string(i) + "\":0";
  CHECK_THROWS_WITH(parse_ordered_json_strictly(many + "}", "x", 4), Catch::Contains("more than 1024 keys"));
}

}  // namespace
}  // namespace foresight
