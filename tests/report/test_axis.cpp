#include "trainer/report/axis.h"

#include <cmath>

#include "tests/catch.h"

namespace foresight {
namespace {

std::vector<std::string> texts_of(const Axis& axis) {
  std::vector<std::string> texts;
  for (const Tick& tick : axis.ticks()) texts.push_back(tick.text);
  return texts;
}

TEST_CASE("report axis: values keep their order and lie within it on every scale") {
  for (const Scale scale : {Scale::kLinear, Scale::kLog, Scale::kSymlog}) {
    const Axis axis({.scale = scale, .linear_below = 0.01}, {0.001, 0.5, 900}, 0.05);
    CHECK(*axis.place(0.001) > 0);
    CHECK(*axis.place(0.001) < *axis.place(0.5));
    CHECK(*axis.place(0.5) < *axis.place(900));
    CHECK(*axis.place(900) < 1);
  }
}

TEST_CASE("report axis: what a scale cannot show has no place") {
  const Axis log({.scale = Scale::kLog}, {1, 10, -5, 0, NAN}, 0.05);
  CHECK_FALSE(log.place(0));
  CHECK_FALSE(log.place(-5));
  CHECK_FALSE(log.place(NAN));
  CHECK(*log.place(10) < 1);
  const Axis symlog({.scale = Scale::kSymlog}, {-1, 1}, 0.05);
  CHECK(*symlog.place(0) == Approx(0.5));
}

TEST_CASE("report axis: a symmetric log scale shows zero, the small and the large") {
  const std::vector<double> rises = {0.0012, 0.0061, 0.0243, 0.93};
  CHECK(symlog_threshold(rises) == Approx(0.001));
  const Axis axis({.scale = Scale::kSymlog, .linear_below = 0.001, .at_least_from = 0.0}, rises, 0.085);
  CHECK(*axis.place(0) == Approx(0));
  CHECK(*axis.place(0.0061) - *axis.place(0.0012) > 0.1);
  const std::vector<std::string> expected = {"0", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3"};
  CHECK(texts_of(axis) == expected);
}

TEST_CASE("report axis: even steps on a linear scale, wanted ticks first come, crowded ticks left out") {
  const std::vector<std::string> even = {"0", "2", "4", "6", "8", "10"};
  CHECK(texts_of(Axis({}, {0, 10}, 0.05)) == even);
  const Axis wanted({.scale = Scale::kLog, .ticks = ends_first({256, 512, 1900, 2048})}, {256, 2048}, 0.1);
  const std::vector<std::string> kept = {"256", "512", "2048"};
  CHECK(texts_of(wanted) == kept);
}

TEST_CASE("report axis: one value, or none, is no fault") {
  for (const Scale scale : {Scale::kLinear, Scale::kLog, Scale::kSymlog}) {
    const Axis one({.scale = scale}, {3}, 0.05);
    CHECK(*one.place(3) == Approx(0.5).margin(0.3));
    CHECK(Axis({.scale = scale}, {}, 0.05).ticks().empty());
  }
  CHECK(*Axis({}, {0, 0}, 0.05).place(0) == Approx(0.5));
  CHECK(symlog_threshold({0, 0}) == 1);
}

}  // namespace
}  // namespace foresight
