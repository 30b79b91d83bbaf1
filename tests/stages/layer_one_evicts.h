// The whole pipeline on a tiny model whose layer 0 does not evict.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "data/safetensors.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/base/files.h"
#include "trainer/comm/world.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight {

/// Runs all stages on the model of `tiny` and checks what holds whatever its layers are: full KV costs
/// nothing, golden keeps the most attention, and evaluation and scorer say that only layer 1 evicts. Returns
/// evaluation.json.
inline nlohmann::json run_where_layer_one_evicts(const Tiny& tiny) {
  const Config config = tiny.config(
      {"evaluation.policies=[full, golden, supervised, grpo, random]", "supervised.features=stream"});
  command_run(config, alone());
  nlohmann::json evaluation = nlohmann::json::parse(read_file(tiny.run() / "evaluation.json"));
  const nlohmann::json& policies = evaluation.at("policies");
  CHECK(policies.at("full").at("loss_rise") == 0.0);
  for (const char* other : {"supervised", "grpo", "random"}) {
    CHECK(policies.at("golden").at("attention_kept").get<double>() >
          policies.at(other).at("attention_kept").get<double>());
  }
  CHECK(evaluation.at("evicting_layers") == std::vector<int>{1});
  const SafetensorsFile scorer(tiny.run() / "exports/grpo.safetensors");
  CHECK(scorer.metadata().at("evicting_layers") == "1");
  return evaluation;
}

}  // namespace foresight
