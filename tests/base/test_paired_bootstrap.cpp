#include "trainer/base/paired_bootstrap.h"

#include <cmath>

#include "tests/catch.h"
#include "trainer/base/error.h"
#include "trainer/base/random.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("bootstrap: if all traces have the same difference, the interval is that value") {
  const Interval interval = paired_bootstrap({2.0, 4.0, 1.0}, {20, 40, 10}, 1);
  CHECK(interval.value == Approx(0.1));
  CHECK(interval.low == Approx(0.1));
  CHECK(interval.high == Approx(0.1));
  CHECK(interval.significant());
}

TEST_CASE("bootstrap: the interval of many traces is the normal one") {
  RandomStream random(3, "test");
  std::vector<double> sums;
  std::vector<std::int64_t> tokens(400, 50);
  double mean = 0, square = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const double per_token = 0.2 + random.normal();
    sums.push_back(50 * per_token);
    mean += per_token / 400;
    square += per_token * per_token / 400;
  }
  const double error = std::sqrt((square - mean * mean) / 400);
  const Interval interval = paired_bootstrap(sums, tokens, 7);
  CHECK(interval.value == Approx(mean));
  CHECK(interval.low == Approx(mean - 1.96 * error).margin(0.1 * error));
  CHECK(interval.high == Approx(mean + 1.96 * error).margin(0.1 * error));
  const Interval again = paired_bootstrap(sums, tokens, 7);
  CHECK(again.low == interval.low);
  CHECK(paired_bootstrap(sums, tokens, 8).low != interval.low);
}

TEST_CASE("bootstrap: long traces weigh more, and signs that disagree are not significant") {
  const Interval interval = paired_bootstrap({30.0, -1.0}, {300, 10}, 1);
  CHECK(interval.value == Approx(29.0 / 310));
  CHECK(interval.low == Approx(-0.1));
  CHECK(interval.high == Approx(0.1));
  CHECK_FALSE(interval.significant());
}

TEST_CASE("bootstrap: a ratio weighs traces by its divisor, whatever its sign") {
  const Interval same = ratio_bootstrap({1.0, 0.5, -0.25}, {2.0, 1.0, -0.5}, 1);
  CHECK(same.value == Approx(0.5));
  CHECK(same.low == Approx(0.5));
  CHECK(same.high == Approx(0.5));
  CHECK(ratio_bootstrap({3.0, 0.0}, {4.0, 2.0}, 1).value == Approx(0.5));
  REQUIRE_THROWS_AS(ratio_bootstrap({1.0, 1.0}, {1.0, -1.0}, 1), Error);
  REQUIRE_THROWS_AS(ratio_bootstrap({1.0}, {1.0, 1.0}, 1), Error);
}

TEST_CASE("bootstrap: traces without a scored token are sampled and change nothing") {
  const Interval interval = paired_bootstrap({5.0, 0.0}, {50, 0}, 1);
  CHECK(interval.low == Approx(0.1));
  CHECK(interval.high == Approx(0.1));
  REQUIRE_THROWS_AS(paired_bootstrap({0.0}, {0}, 1), Error);
  REQUIRE_THROWS_AS(paired_bootstrap({0.0, 1.0}, {1}, 1), Error);
}
