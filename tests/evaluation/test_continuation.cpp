// Continued prompts: figures by hand.
#include <torch/types.h>

#include "trainer/evaluation/continuation.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("continuation: difference, limit and length by hand", "[evaluation]") {
  const std::vector<Tokens> full = {{5, 6, 7, 2}, {5, 5, 5}}, own = {{5, 6, 8, 9, 9, 2}, {5, 5, 5}};
  const auto json = score_continuations(own, full, {2});
  CHECK(json["tokens_until_difference"].get<double>() == Approx((2 + 3) / 2.0));
  CHECK(json["equal_share"].get<double>() == Approx(0.5));
  CHECK(json["truncation_rate"].get<double>() == Approx(0.5));
  CHECK(json["mean_tokens"].get<double>() == Approx(4.5));
  CHECK(json["prompt_tokens_until_difference"] == nlohmann::ordered_json({2, 3}));
  CHECK(score_continuations(full, full, {2})["equal_share"].get<double>() == 1.0);
}

TEST_CASE("continuation: repetition counts sequences of eight tokens that stood before", "[evaluation]") {
  CHECK(repetition({1, 2, 3}) == 0.0);
  CHECK(repetition(Tokens(7, 4)) == 0.0);
  CHECK(repetition(Tokens(10, 4)) == Approx(2.0 / 3));  // three sequences, two of them again
  const Tokens loop = {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(repetition(loop) == Approx(1.0 / 9));
}

TEST_CASE("continuation: a trace's prompt is continued, or its first tokens where it has none",
          "[evaluation]") {
  const CacheSize size{16, 8};
  CHECK(continued_tokens(5, 40, size) == 5);
  CHECK(continued_tokens(0, 40, size) == 16);
  CHECK(continued_tokens(40, 40, size) == 16);
  CHECK(continued_tokens(0, 9, size) == 9);
  RecordedTrace trace;
  trace.id = "a";
  trace.tokens = torch::arange(40);
  trace.completion = torch::arange(40) >= 3;
  const auto prompts = continued_prompts({trace, trace, trace}, 2, size);
  REQUIRE(prompts.size() == 2);
  CHECK(prompts[0].name == "a");
  CHECK(prompts[0].tokens == Tokens{0, 1, 2});
}
