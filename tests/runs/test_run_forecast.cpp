#include "trainer/runs/run_forecast.h"

#include "tests/runs/run_folders.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

using Catch::Contains;

RunForecast three_stages() {
  return {.stages = {{.stage = Stage::kOracle, .seconds = 90, .first_step = 2, .last_step = 9},
                     {.stage = Stage::kSupervised, .seconds = 100, .first_step = 0, .last_step = 40},
                     {.stage = Stage::kEvaluate, .seconds = 30}}};
}

TEST_CASE("run forecast: what stages took corrects what is expected of the later ones") {
  RunForecast forecast = three_stages();
  CHECK(forecast.seconds() == 220);
  CHECK(forecast.pace() == 1);
  CHECK(forecast.seconds_behind(Stage::kOracle) == 130);
  CHECK(forecast.seconds_behind(Stage::kEvaluate) == 0);
  forecast.end(Stage::kOracle, 190);  // (190 + 10) / (90 + 10)
  CHECK(forecast.pace() == Approx(2));
  CHECK(forecast.seconds_behind(Stage::kOracle) == Approx(260));
  CHECK(forecast.seconds_behind(Stage::kSupervised) == Approx(60));
  CHECK(forecast.find(Stage::kGrpo) == nullptr);
}

TEST_CASE("run forecast: a file holds it, and no file is no forecast") {
  const RunFolders folders;
  RunForecast forecast = three_stages();
  forecast.end(Stage::kOracle, 12.5);
  CHECK_FALSE(read_forecast(folders / "forecast.json"));
  write_forecast(folders / "forecast.json", forecast);
  const auto read = read_forecast(folders / "forecast.json");
  REQUIRE(read);
  REQUIRE(read->stages.size() == 3);
  CHECK(read->stages[0].took == std::optional<double>(12.5));
  CHECK_FALSE(read->stages[1].took);
  CHECK((read->stages[2].stage == Stage::kEvaluate));
  CHECK(read->stages[1].seconds == 100);
  CHECK(read->stages[0].first_step == 2);
  CHECK(read->stages[0].last_step == 9);
}

TEST_CASE("run forecast: a damaged file is a fault that names its key") {
  const RunFolders folders;
  const auto fault = [&](const std::string& content) {
    const auto file = folders.write("forecast.json", content);
    try {
      read_forecast(file);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      CHECK_THAT(error.what(), Contains("forecast.json"));
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK_THAT(fault("{"), Contains("expected JSON"));
  CHECK_THAT(fault("{}"), Contains("\"stages\" is missing"));
  CHECK_THAT(fault(R"({"stages": [{"stage": "train"}]})"),
             Contains("stages[0].stage: expected the name of a stage") && Contains("delete the file"));
  CHECK_THAT(fault(R"({"stages": [{"stage": "oracle", "seconds": "x"}]})"), Contains("stages[0].seconds"));
}

}  // namespace
}  // namespace foresight
