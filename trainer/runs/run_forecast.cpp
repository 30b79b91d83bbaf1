#include "trainer/runs/run_forecast.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/config/names.h"
#include "trainer/report/json_place.h"

namespace foresight {
namespace {

constexpr double kSecondsAsExpected = 10;
constexpr int kMaxDepth = 4;

StageForecast read_stage(const JsonPlace& place) {
  const JsonPlace name = place.at("stage");
  const auto stage = stage_named(name.text());
  if (!stage) name.fail("expected the name of a stage");
  StageForecast forecast{.stage = *stage,
                         .seconds = place.at("seconds").number(),
                         .first_step = place.at("first_step").whole(0),
                         .last_step = place.at("last_step").whole(0)};
  if (const auto took = place.find("took")) forecast.took = took->number();
  return forecast;
}

}  // namespace

double RunForecast::seconds() const {
  double sum = 0;
  for (const StageForecast& stage : stages) sum += stage.seconds;
  return sum;
}

double RunForecast::pace() const {
  double expected = kSecondsAsExpected, took = kSecondsAsExpected;
  for (const StageForecast& stage : stages) {
    if (!stage.took || stage.seconds <= 0) continue;
    expected += stage.seconds;
    took += *stage.took;
  }
  return took / expected;
}

double RunForecast::seconds_behind(Stage stage) const {
  double sum = 0;
  for (const StageForecast& later : stages) sum += later.stage > stage ? later.seconds : 0;
  return sum * pace();
}

const StageForecast* RunForecast::find(Stage stage) const {
  const auto found = std::find_if(stages.begin(), stages.end(),
                                  [&](const StageForecast& forecast) { return forecast.stage == stage; });
  return found == stages.end() ? nullptr : &*found;
}

void RunForecast::end(Stage stage, double seconds) {
  for (StageForecast& forecast : stages) {
    if (forecast.stage == stage) forecast.took = seconds;
  }
}

void write_forecast(const std::filesystem::path& file, const RunForecast& forecast) {
  nlohmann::ordered_json stages = nlohmann::ordered_json::array();
  for (const StageForecast& stage : forecast.stages) {
    stages.push_back({{"stage", to_string(stage.stage)},
                      {"seconds", stage.seconds},
                      {"first_step", stage.first_step},
                      {"last_step", stage.last_step},
                      {"took", stage.took ? nlohmann::ordered_json(*stage.took) : nlohmann::ordered_json()}});
  }
  write_file_atomically(file, nlohmann::ordered_json{{"stages", stages}}.dump(2) + "\n");
}

std::optional<RunForecast> read_forecast(const std::filesystem::path& file) {
  if (!is_there(file)) return std::nullopt;
  const nlohmann::json json = parse_json_strictly(read_file(file), file.string(), kMaxDepth);
  const JsonPlace root(json, file.string(), "delete the file");
  RunForecast forecast;
  for (const JsonPlace& stage : root.at("stages").items()) forecast.stages.push_back(read_stage(stage));
  return forecast;
}

}  // namespace foresight
