#include "trainer/evaluation/evaluation_json.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {
namespace {

using Catch::Contains;

TEST_CASE("evaluation table: exported scorers of several runs show what differs between their paths",
          "[evaluation]") {
  nlohmann::ordered_json evaluation = {{"budget", 64}, {"window", 16}, {"policies", {}}};
  for (const char* name : {"full", "grpo", "runs/narrow/exports/supervised.safetensors",
                           "runs/wide/exports/supervised.safetensors"}) {
    evaluation["policies"][name] = {{"tokens", 10},     {"traces", 2},     {"loss", 1.0},
                                    {"loss_rise", 0.5}, {"loss_ratio", 2}, {"low_entropy_loss_rise", 0.25}};
  }
  const std::string table = evaluation_table(evaluation);
  CHECK_THAT(table, Contains("\nnarrow/exports/supervised.safetensors    1.0000    +0.5000") &&
                        Contains("\nwide/exports/supervised.safetensors      1.0000") &&
                        Contains("\nsupervised + RL                          1.0000"));
}

}  // namespace
}  // namespace foresight
