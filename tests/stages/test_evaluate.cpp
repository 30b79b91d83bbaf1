// The evaluation stage on recorded traces: what it scores, and when it computes results again.
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "golden_eviction/oracle_stage.h"
#include "tests/stages/tiny.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/files.h"
#include "trainer/evaluation/evaluate_stage.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("evaluate: a sweep scores one set of tokens, and a budget that holds everything costs nothing",
          "[stages]") {
  const Tiny tiny;
  const Config config =
      tiny.config({"evaluation.budgets=[144,64]", "evaluation.policies=[full,golden,h2o,random]",
                   "evaluation.detail=false", "evaluation.random_seeds=2"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto evaluation = run_evaluate(config, workspace.model, workspace.tokenizer, alone());
  const auto& sweep = evaluation.at("sweep");
  REQUIRE(sweep.size() == 3);
  for (const std::size_t i : {0U, 1U, 2U}) {
    INFO(i);
    CHECK(sweep[i].at("budget").get<int>() == (i == 0 ? 32 : i == 1 ? 64 : 144));
    CHECK(sweep[i].at("first_scored") == 81);
    CHECK(sweep[i]["policies"]["h2o"]["tokens"] == 2 * (160 - 81));
    CHECK(sweep[i]["policies"]["full"]["loss"] == sweep[0]["policies"]["full"]["loss"]);
  }
  CHECK(sweep[2]["policies"]["h2o"]["loss_rise"].get<double>() == 0.0);
  CHECK(sweep[0]["policies"]["h2o"]["loss_rise"].get<double>() != 0.0);
  CHECK(evaluation["policies"]["h2o"]["tokens"] == 2 * (160 - 49));
  CHECK_FALSE(evaluation["policies"]["h2o"].contains("kl_to_full"));
  CHECK_FALSE(evaluation.contains("token_view"));
}

TEST_CASE("evaluate: results are kept for the same inputs, and computed again for others", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"evaluation.policies=[full,h2o]", "evaluation.max_traces=1"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto file = tiny.run() / "evaluation.json";
  /// Whether a marked result is still there after evaluating again.
  const auto is_kept = [&](const Config& again, const std::string& key, const nlohmann::json& value) {
    auto stored = nlohmann::ordered_json::parse(read_file(file));
    stored["mark"] = true;
    if (!key.empty()) stored[key] = value;
    write_file_atomically(file, stored.dump());
    return run_evaluate(again, workspace.model, workspace.tokenizer, alone()).contains("mark");
  };
  run_evaluate(config, workspace.model, workspace.tokenizer, alone());
  CHECK(is_kept(config, "", {}));
  CHECK_FALSE(is_kept(config, "schema_version", 3));
  CHECK(is_kept(config, "", {}));
  const Config seeds =
      tiny.config({"evaluation.policies=[full,h2o]", "evaluation.max_traces=1", "evaluation.random_seeds=2"});
  CHECK_FALSE(is_kept(seeds, "", {}));
  for (const char* protection : {"eviction.protect_sinks=2", "eviction.protect_prompt=true"}) {
    INFO(protection);
    const Config protecting =
        tiny.config({"evaluation.policies=[full,h2o]", "evaluation.max_traces=1", protection});
    CHECK_FALSE(is_kept(protecting, "", {}));
    CHECK(is_kept(protecting, "", {}));
  }

  const auto problems = tiny.folder / "problems.jsonl";
  write_file_atomically(problems, "{\"prompt\": \"ann has 3\", \"answer\": \"3\"}\n");
  const Config tasks = tiny.config({"evaluation.policies=[full,h2o]", "evaluation.max_traces=1",
                                    "evaluation.tasks=[" + problems.string() + "]",
                                    "generation.max_new_tokens=1", "evaluation.task_samples=0"});
  CHECK_FALSE(is_kept(tasks, "", {}));
  CHECK(is_kept(tasks, "", {}));
  write_file_atomically(problems, "{\"prompt\": \"ann has 4\", \"answer\": \"4\"}\n");
  CHECK_FALSE(is_kept(tasks, "", {}));

  // The same tokens, recorded in other blocks: the golden plan and the kept attention differ.
  CHECK_FALSE(is_kept(config, "", {}));
  CHECK(is_kept(config, "", {}));
  std::filesystem::remove_all(tiny.run() / "oracle");
  const Config blocks =
      tiny.config({"evaluation.policies=[full,h2o]", "evaluation.max_traces=1", "oracle.block_tokens=8"});
  run_oracle(blocks, workspace.model, workspace.tokenizer, alone());
  CHECK_FALSE(is_kept(blocks, "", {}));
  CHECK(is_kept(config, "", {}));  // the key alone changes nothing
}

TEST_CASE("evaluate: losses recorded in another dtype are not compared, until they are recorded again",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"evaluation.policies=[full,h2o]", "supervised.steps=2"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const Config other =
      tiny.config({"evaluation.policies=[full,h2o]", "supervised.steps=2", "runtime.dtype=bfloat16"});
  const Workspace rounded = open_workspace(other, alone());
  REQUIRE_THROWS_WITH(run_evaluate(other, rounded.model, rounded.tokenizer, alone()),
                      Catch::Contains("runtime.dtype") && Catch::Contains("evaluation-000000.h5") &&
                          Catch::Contains("recorded in float32") &&
                          Catch::Contains("remove the oracle folder"));
  REQUIRE_THROWS_WITH(run_supervised(other, rounded.model, rounded.tokenizer, alone()),
                      Catch::Contains("runtime.dtype") && Catch::Contains("validation-000000.h5"));
  std::filesystem::remove_all(tiny.run() / "oracle");
  run_oracle(other, rounded.model, rounded.tokenizer, alone());
  const auto evaluation = run_evaluate(other, rounded.model, rounded.tokenizer, alone());
  CHECK(evaluation["inputs"]["dtype"] == "bfloat16");
}
