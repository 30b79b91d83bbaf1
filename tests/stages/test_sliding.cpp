// The whole pipeline on a model one of whose layers sees a window and does not evict.
#include <nlohmann/json.hpp>

#include "data/inspect.h"
#include "data/safetensors.h"
#include "tests/stages/change_model_config.h"
#include "tests/stages/layer_one_evicts.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/comm/world.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

namespace {

/// Makes a Ministral of the tiny Llama: layer 0 sees the last 24 tokens, layer 1 everything.
void make_sliding(const std::filesystem::path& folder) {
  const nlohmann::json changes = {{"architectures", {"MinistralForCausalLM"}},
                                  {"model_type", "ministral"},
                                  {"sliding_window", 24},
                                  {"layer_types", {"sliding_attention", "full_attention"}}};
  change_model_config(folder, changes);
}

}  // namespace

TEST_CASE("sliding layers: the whole pipeline runs, and files and report say which layers evict",
          "[stages]") {
  const Tiny tiny;
  make_sliding(tiny.folder / "model");
  const nlohmann::json policies = run_where_layer_one_evicts(tiny).at("policies");
  CHECK(policies["golden"]["attention_kept_by_head"].size() == 1);
  CHECK(policies["golden"]["golden_overlap"].get<double>() == Approx(1.0));
  CHECK_THAT(read_file(tiny.run() / "report.html"),
             Contains("Layer 1 of the model evicts.") && Contains("data-t=\"layer 1, KV head 0"));

  const auto facts = describe_oracle_file(tiny.run() / "oracle/train-000000.h5");
  CHECK(facts["evicting_layers"] == std::vector<int>{1});
  CHECK(facts["datasets"].back()["name"] == "/future_attention/layer_001");
  const SafetensorsFile scorer(tiny.run() / "exports/grpo.safetensors");
  CHECK(scorer.contains("model.layers.1.self_attn.judge_model.fc1.weight"));
  CHECK(scorer.at("feature_mean").shape.front() == 1);
}

TEST_CASE("sliding layers: states from files and from a replay train alike", "[stages]") {
  std::vector<double> losses;
  for (const char* source : {"cache", "stream"}) {
    const Tiny tiny;
    make_sliding(tiny.folder / "model");
    const Config config = tiny.config(
        {concat("supervised.features=", source), "supervised.states=golden", "supervised.steps=1"});
    command_stage(config, Stage::kOracle, alone());
    command_stage(config, Stage::kSupervised, alone());
    const std::string row = read_file(tiny.run() / "supervised/metrics.jsonl");
    losses.push_back(nlohmann::json::parse(row.substr(0, row.find('\n'))).at("loss").get<double>());
  }
  CHECK(losses[0] == Approx(losses[1]).epsilon(2e-3));  // files hold float16
}
