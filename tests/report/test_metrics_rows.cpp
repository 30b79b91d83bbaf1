#include "trainer/report/metrics_rows.h"

#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

using Catch::Contains;

std::string fault_of(const std::string& jsonl) {
  try {
    parse_metrics(jsonl, "run/metrics.jsonl");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "";
}

TEST_CASE("report metrics: rows with what they have; a null is absent") {
  const auto rows = parse_metrics("{\"step\":1,\"loss\":0.5,\"kl\":null}\n{\"step\":2,\"extra\":\"x\"}", "m");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].scalars.at("loss") == 0.5);
  CHECK_FALSE(rows[0].scalars.contains("kl"));
  CHECK(rows[1].step == 2);
  CHECK(parse_metrics("{\"step\":0,\"eval_loss_rise\":0.1}", "m")[0].step == 0);  // before the first update
  CHECK(parse_metrics("", "m").empty());
}

TEST_CASE("report metrics: a fault names file, line and key") {
  CHECK_THAT(fault_of("{\"step\":1}\n{\"step\":\n"), Contains("run/metrics.jsonl: line 2: expected JSON"));
  CHECK_THAT(fault_of("{\"step\":1}\n\n"), Contains("line 2"));
  CHECK_THAT(fault_of("{\"loss\":1}"), Contains("line 1") && Contains("\"step\" is missing"));
  CHECK_THAT(fault_of("{\"step\":1.5}"), Contains("step: expected a whole number"));
  CHECK_THAT(fault_of("{\"step\":1,\"loss\":\"low\"}"), Contains("loss: expected a number, found \"low\""));
  CHECK_THAT(fault_of("[1]"), Contains("expected an object"));
}

TEST_CASE("report metrics: a long curve is thinned by means of equal runs, a short one is left alone") {
  std::vector<MetricsRow> rows;
  for (int step = 1; step <= 10; ++step) rows.push_back({step, {{"loss", step}}});
  rows.push_back({11, {{"other", 1.0}}});
  const MetricCurve whole = metric_curve(rows, "loss", 10);
  CHECK(whole.rows_per_point == 1);
  CHECK(whole.points.size() == 10);
  const MetricCurve thin = metric_curve(rows, "loss", 4);
  CHECK(thin.rows_per_point == 3);
  REQUIRE(thin.points.size() == 4);
  CHECK(thin.points[0].x == 3);
  CHECK(thin.points[0].y == 2);
  CHECK(thin.points[3].y == 10);  // the rest that is left: step 10 alone
  CHECK(metric_curve(rows, "none", 4).points.empty());
}

}  // namespace
}  // namespace foresight
