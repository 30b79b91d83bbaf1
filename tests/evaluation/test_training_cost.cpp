#include <torch/types.h>

#include "tests/base/temporary_folder.h"
#include "trainer/evaluation/training_cost.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("training cost: means of traces and medians of steps, of the stages that left rows",
          "[evaluation]") {
  const TemporaryFolder folder;
  CHECK(training_cost(folder.path()).empty());
  for (const char* name : {"oracle", "supervised", "grpo"}) std::filesystem::create_directory(folder / name);
  folder.write(
      "oracle/metrics.jsonl",
      "{\"trace\":\"a\",\"seconds\":1.0,\"bytes\":100}\n{\"trace\":\"b\",\"seconds\":2.0,\"bytes\":300}\n");
  folder.write("supervised/metrics.jsonl",
               "{\"step\":1,\"step_time\":0.5}\n{\"step\":2,\"step_time\":9.0}\n{\"step\":3,\"step_time\":0."
               "25}\n{\"st");
  const auto cost = training_cost(folder.path());
  CHECK(cost == nlohmann::ordered_json{{"oracle_seconds_per_trace", 1.5},
                                       {"hdf5_bytes_per_trace", 200.0},
                                       {"supervised_seconds_per_step", 0.5}});
}
