// The rows that a training stage wrote, for its curves.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/report/json_place.h"
#include "trainer/report/line_plot.h"

namespace foresight {

/// One line of metrics.jsonl. A measure that the row lacks, or that is null, is absent.
struct MetricsRow {
  std::int64_t step = 0;
  Scalars scalars;
};

/// `jsonl` as rows; `file` names it in messages. Throws Error(kInput) naming file, line and key for a line
/// that is no JSON object, a missing "step", or a measure of the report (loss, reward, kl, ...) that is no
/// number.
std::vector<MetricsRow> parse_metrics(std::string_view jsonl, const std::string& file);

/// A measure over the steps. `rows_per_point` > 1: each point is the mean over that many rows, at their last.
struct MetricCurve {
  std::vector<PlotPoint> points;
  std::int64_t rows_per_point = 1;
};

/// The curve of `key` over the rows that have it, thinned to `max_points` or fewer by means of equal runs.
MetricCurve metric_curve(const std::vector<MetricsRow>& rows, const std::string& key,
                         std::int64_t max_points);

}  // namespace foresight
