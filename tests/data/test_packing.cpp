#include <string>

#include "data/trace_rows.h"
#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

using Tokens = std::vector<std::int32_t>;
using Marks = std::vector<std::uint8_t>;

/// Tokens first, first+1, ...; the first `prompt_tokens` of them belong to the prompt.
TokenRow token_row(std::int32_t first, int count, int prompt_tokens, const std::string& source) {
  TokenRow row;
  for (int index = 0; index < count; ++index) {
    row.tokens.push_back(first + index);
    row.completion.push_back(index >= prompt_tokens ? 1 : 0);
  }
  row.source = source;
  return row;
}

}  // namespace

TEST_CASE("packing: the cut row is dropped from the next trace", "[data]") {
  const std::vector<TokenRow> rows = {token_row(10, 3, 1, "a:1"), token_row(20, 4, 2, "a:2"),
                                      token_row(30, 2, 0, "a:3"), token_row(40, 3, 3, "a:4"),
                                      token_row(50, 4, 0, "a:5")};
  const std::vector<TokenRow> traces = pack_rows(rows, true, 5, 0, -1);
  REQUIRE(traces.size() == 2);  // row 5 alone does not fill a third
  CHECK(traces[0].tokens == Tokens{10, 11, 12, 20, 21});
  CHECK(traces[0].completion == Marks{0, 1, 1, 0, 0});
  CHECK(traces[0].source == "a:1 .. a:2");
  CHECK(traces[1].tokens == Tokens{30, 31, 40, 41, 42});  // ends exactly at a row's end: nothing is dropped
  CHECK(traces[1].source == "a:3 .. a:4");
}

TEST_CASE("packing: the first token is only at each trace's start and not in the completion", "[data]") {
  const std::vector<TokenRow> rows = {token_row(10, 2, 0, "a:1"), token_row(20, 2, 0, "a:2"),
                                      token_row(30, 9, 0, "a:3")};
  const std::vector<TokenRow> traces = pack_rows(rows, true, 4, 0, 1);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].tokens == Tokens{1, 10, 11, 20});
  CHECK(traces[0].completion == Marks{0, 1, 1, 1});
  CHECK(traces[1].tokens == Tokens{1, 30, 31, 32});
  CHECK(traces[1].source == "a:3");
}

TEST_CASE("packing: a row that begins with the first token does not get another", "[data]") {
  const std::vector<TokenRow> rows = {token_row(1, 3, 0, "a:1"), token_row(20, 3, 0, "a:2")};
  const std::vector<TokenRow> traces = pack_rows(rows, false, 4, 0, 1);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].tokens == Tokens{1, 2, 3});
  CHECK(traces[1].tokens == Tokens{1, 20, 21, 22});
}

TEST_CASE("packing: without packing each row is a trace, cut at the limit", "[data]") {
  const std::vector<TokenRow> rows = {token_row(10, 2, 1, "a:1"), TokenRow{{}, {}, "a:2"},
                                      token_row(30, 9, 0, "a:3")};
  const std::vector<TokenRow> traces = pack_rows(rows, false, 4, 0, 1);
  REQUIRE(traces.size() == 2);
  CHECK(traces[0].tokens == Tokens{1, 10, 11});
  CHECK(traces[1].tokens == Tokens{1, 30, 31, 32});
  CHECK(traces[1].source == "a:3");
}

TEST_CASE("packing: max_traces stops it, rows that fill nothing give nothing", "[data]") {
  const std::vector<TokenRow> rows(6, token_row(0, 5, 0, "a:1"));
  CHECK(pack_rows(rows, true, 5, 2, -1).size() == 2);
  CHECK(pack_rows(rows, true, 5, -1, -1).size() == 6);
  CHECK(pack_rows(rows, false, 9, 3, -1).size() == 3);
  CHECK(pack_rows(rows, true, 31, 0, -1).empty());
  CHECK(pack_rows({}, true, 4, 0, -1).empty());
}

TEST_CASE("packing: against a plain restatement of the rule on many random rows", "[data]") {
  std::uint32_t state = 7;
  const auto next = [&](std::uint32_t bound) {
    return (state = state * 1664525u + 1013904223u) / 65536u % bound;
  };
  std::vector<TokenRow> rows;
  for (int index = 0; index < 300; ++index) {
    rows.push_back(token_row(index * 100, static_cast<int>(next(60)), static_cast<int>(next(20)),
                             std::to_string(index)));
  }
  for (const std::int32_t first : {-1, 9999999}) {
    for (const std::size_t limit : {2u, 17u, 64u, 200u}) {
      std::vector<Tokens> expected;
      Tokens joined;
      for (const TokenRow& row : rows) {
        joined.insert(joined.end(), row.tokens.begin(), row.tokens.end());
        const std::size_t wanted = limit - (first >= 0 ? 1 : 0);
        if (joined.size() >= wanted) {
          joined.resize(wanted);
          if (first >= 0) joined.insert(joined.begin(), first);
          expected.push_back(joined);
          joined.clear();
        }
      }
      const auto traces = pack_rows(rows, true, static_cast<std::int64_t>(limit), 0, first);
      REQUIRE(traces.size() == expected.size());
      for (std::size_t index = 0; index < traces.size(); ++index)
        CHECK(traces[index].tokens == expected[index]);
    }
  }
}

TEST_CASE("packing: impossible lengths and rows without marks are refused", "[data]") {
  const auto kind_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInterrupted;
  };
  CHECK(kind_of([] { pack_rows({}, true, 0, 0, -1); }) == ErrorKind::kConfig);
  CHECK(kind_of([] { pack_rows({}, true, 1, 0, 5); }) == ErrorKind::kConfig);
  CHECK(kind_of([] { pack_rows({TokenRow{{1, 2}, {1}, "a:1"}}, true, 4, 0, -1); }) == ErrorKind::kInternal);
}

}  // namespace foresight
