#include "trainer/report/metrics_rows.h"

#include <algorithm>

#include "trainer/base/json.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr int kMaxDepth = 8;

const std::vector<std::string> kShownMeasures = {"loss",
                                                 "oracle_overlap",
                                                 "eval_loss_rise",
                                                 "eval_low_entropy_loss_rise",
                                                 "reward",
                                                 "low_entropy_loss_rise",
                                                 "kl"};

}  // namespace

std::vector<MetricsRow> parse_metrics(std::string_view jsonl, const std::string& file) {
  std::vector<MetricsRow> rows;
  for (std::int64_t line = 1; !jsonl.empty(); ++line) {
    const std::size_t end = std::min(jsonl.find('\n'), jsonl.size());
    const std::string_view text = jsonl.substr(0, end);
    jsonl.remove_prefix(std::min(end + 1, jsonl.size()));
    const std::string where = concat(file, ": line ", line);
    const nlohmann::json row = parse_json_strictly(text, where, kMaxDepth);
    const JsonPlace place(row, where, "repair or delete the file");
    rows.push_back({place.at("step").whole(0), place.scalars(kShownMeasures)});
  }
  return rows;
}

MetricCurve metric_curve(const std::vector<MetricsRow>& rows, const std::string& key,
                         std::int64_t max_points) {
  std::vector<PlotPoint> all;
  for (const MetricsRow& row : rows) {
    const auto found = row.scalars.find(key);
    if (found != row.scalars.end()) all.push_back({static_cast<double>(row.step), found->second});
  }
  const auto count = static_cast<std::int64_t>(all.size());
  MetricCurve curve;
  curve.rows_per_point = std::max<std::int64_t>(1, (count + max_points - 1) / max_points);
  for (std::int64_t first = 0; first < count; first += curve.rows_per_point) {
    const std::int64_t last = std::min(first + curve.rows_per_point, count) - 1;
    double sum = 0;
    for (std::int64_t i = first; i <= last; ++i) sum += all[static_cast<std::size_t>(i)].y;
    curve.points.push_back(
        {all[static_cast<std::size_t>(last)].x, sum / static_cast<double>(last - first + 1)});
  }
  return curve;
}

}  // namespace foresight
