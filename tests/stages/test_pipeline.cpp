#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "data/oracle_file.h"
#include "golden_eviction/oracle_stage.h"
#include "tests/data/whole_layer.h"
#include "tests/stages/timeless_metrics.h"
#include "tests/stages/tiny.h"
#include "tests/traces/load_recorded.h"
#include "trainer/app/commands.h"
#include "trainer/app/training_stages.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/manifest.h"
#include "trainer/base/stop_signal.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/evaluation/side_by_side.h"
#include "trainer/model/tensor_io.h"
#include "trainer/traces/recorded_trace.h"
#include "trainer/training/run_folder.h"
#include "trainer/training/training_session.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("pipeline: run makes every output, and a second run changes none of them", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  command_run(config, alone());
  const nlohmann::json evaluation = nlohmann::json::parse(read_file(tiny.run() / "evaluation.json"));
  CHECK(evaluation.at("budget") == 32);
  CHECK(evaluation.at("window") == 16);
  REQUIRE(evaluation.at("policies").size() == 11);
  for (const auto& [name, policy] : evaluation.at("policies").items()) {
    INFO(name);
    for (const char* key : {"loss", "loss_rise", "loss_ratio", "low_entropy_loss_rise"})
      CHECK(policy.at(key).is_number());
    CHECK(policy.at("traces") == 2);
    CHECK(policy.at("tokens") == 2 * (160 - 49));
    const double full = evaluation["policies"]["full"]["loss"].get<double>();
    CHECK(policy.at("loss").get<double>() == Approx(full + policy.at("loss_rise").get<double>()));
  }
  CHECK(evaluation["policies"]["full"]["loss_rise"] == 0.0);
  for (const char* policy : {"golden", "grpo", "random"}) {
    INFO(policy);
    const nlohmann::json& own = evaluation["policies"][policy];
    CHECK(own.at("kl_to_full").get<double>() >= 0.0);
    CHECK(own.at("top1_agreement").get<double>() <= 1.0);
    CHECK(own.at("attention_kept_by_head").size() == 2);
    CHECK(own.at("attention_regret").get<double>() ==
          Approx(evaluation["policies"]["golden"]["attention_kept"].get<double>() -
                 own["attention_kept"].get<double>())
              .margin(1e-12));
  }
  CHECK(evaluation["policies"]["golden"]["golden_overlap"].get<double>() == Approx(1.0));
  CHECK(evaluation["policies"]["grpo"]["difference"]["sentence"].get<std::string>().find("nats") !=
        std::string::npos);
  for (const char* key : {"oracle_seconds_per_trace", "hdf5_bytes_per_trace", "supervised_seconds_per_step",
                          "grpo_seconds_per_step"})
    CHECK(evaluation["training"].at(key).get<double>() > 0.0);
  CHECK(evaluation["token_view"]["tokens"].size() == 160);
  CHECK(evaluation["token_view"]["policies"]["grpo"].size() == 160);
  CHECK(std::filesystem::exists(tiny.run() / "report.html"));
  CHECK(std::filesystem::exists(tiny.run() / "report.csv"));
  CHECK(std::filesystem::exists(tiny.run() / "exports/grpo.safetensors"));
  CHECK(std::filesystem::exists(tiny.run() / "config.yaml"));
  CHECK(timeless_metrics(tiny.run() / "supervised/metrics.jsonl").size() == 6);
  const std::string before = sha256_hex(read_file(tiny.run() / "evaluation.json")) +
                             sha256_file_hex(tiny.run() / "exports/grpo.safetensors") +
                             sha256_file_hex(tiny.run() / "grpo/metrics.jsonl");
  command_run(config, alone());
  CHECK(before == sha256_hex(read_file(tiny.run() / "evaluation.json")) +
                      sha256_file_hex(tiny.run() / "exports/grpo.safetensors") +
                      sha256_file_hex(tiny.run() / "grpo/metrics.jsonl"));
}

TEST_CASE("oracle: finished traces are kept, a damaged one is recorded again, another model's is refused",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto first = tiny.run() / "oracle/train-000000.h5", second = tiny.run() / "oracle/train-000001.h5";
  const std::string first_bytes = sha256_file_hex(first);
  const auto layer = whole_layer(OracleReader(second), 1);
  std::filesystem::resize_file(second, 3000);
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  CHECK(sha256_file_hex(first) == first_bytes);
  CHECK(whole_layer(OracleReader(second), 1) == layer);
  const Config longer = tiny.config({"data.trace_tokens=176"});
  REQUIRE_THROWS_WITH(run_oracle(longer, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("another `output`"));
  make_tiny_model(tiny.folder / "model", 2);
  const Workspace changed = open_workspace(config, alone());
  REQUIRE_THROWS_WITH(run_oracle(config, changed.model, changed.tokenizer, alone()),
                      Catch::Contains("recorded with the model"));
  REQUIRE_THROWS_WITH(run_supervised(config, changed.model, changed.tokenizer, alone()),
                      Catch::Contains("recorded with the model"));
}

TEST_CASE("oracle: stored attention gives the plan of every budget, and golden evicts along it", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto traces = load_recorded_traces(tiny.run() / "oracle", "evaluation", config.evaluation.max_traces,
                                           workspace.model.fingerprint(), workspace.tokenizer.fingerprint());
  for (const CacheSize size : {CacheSize{32, 16}, CacheSize{96, 32}}) {
    const EvaluationOptions options{.size = size};
    const auto results =
        evaluate_policies(workspace.model, traces,
                          {rule_policy("golden", size, 1), rule_policy("random", size, 1)}, options, alone());
    CHECK(results[1].loss_rise < results[2].loss_rise);
  }
  const CacheSize everything{160, 16};
  for (const PolicyResult& result : evaluate_policies(
           workspace.model, traces, {rule_policy("h2o", everything, 1)}, {.size = everything}, alone())) {
    CHECK(result.loss_rise == 0.0);
    CHECK(result.tokens == 2 * 159);
  }
}

TEST_CASE("run: with fewer traces asked for than recorded, only those are used", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"evaluation.policies=[full,h2o]", "supervised.steps=2"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const Config fewer =
      tiny.config({"evaluation.policies=[full,h2o]", "supervised.steps=2", "evaluation.max_traces=1",
                   "data.max_train_traces=1", "data.validation_traces=1"});
  const auto evaluation = run_evaluate(fewer, workspace.model, workspace.tokenizer, alone());
  CHECK(evaluation["policies"]["h2o"]["traces"] == 1);
  run_supervised(fewer, workspace.model, workspace.tokenizer, alone());
  // A step samples evictions of traces_per_step traces; here all are of the same trace.
  CHECK(timeless_metrics(tiny.run() / "supervised/metrics.jsonl").size() == 2);
}

TEST_CASE("oracle: bad traces and missing stages are named", "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const auto run = [&](const std::vector<std::string>& overrides) {
    run_oracle(tiny.config(overrides), workspace.model, workspace.tokenizer, alone());
  };
  REQUIRE_THROWS_WITH(run({"data.max_train_traces=5000"}), Catch::Contains("data.max_train_traces"));
  write_file_atomically(tiny.folder / "short.jsonl",
                        "{\"text\": \"too short\"}\n{\"text\": \"short too\"}\n");
  REQUIRE_THROWS_WITH(run({"data.pack=false", "data.max_train_traces=1", "data.validation_traces=1",
                           "data.train=[" + (tiny.folder / "short.jsonl").string() + "]"}),
                      Catch::Contains("short.jsonl") && Catch::Contains("at least 49"));
  write_file_atomically(tiny.folder / "tokens.jsonl", "{\"tokens\": [1, 2, 999]}\n");
  REQUIRE_THROWS_WITH(
      run({"data.pack=false", "data.evaluation=[" + (tiny.folder / "tokens.jsonl").string() + "]"}),
      Catch::Contains("999"));
  REQUIRE_THROWS_WITH(run({"data.evaluation=[" + (tiny.folder / "model/train.jsonl").string() + "]"}),
                      Catch::Contains("are in the training files"));
  REQUIRE_THROWS_WITH(run_supervised(tiny.config(), workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("foresight oracle"));
  REQUIRE_THROWS_WITH(command_export(tiny.config(), "grpo", "", ExportLayout::kForesight),
                      Catch::Contains("foresight grpo"));
}

TEST_CASE("oracle: a model whose loss is not finite stops with trace and token, and leaves no file",
          "[stages]") {
  const Tiny tiny;
  {
    const SafetensorsFile file(tiny.folder / "model/model.safetensors");
    std::vector<torch::Tensor> copies;
    std::vector<std::string> names;
    for (const auto& [name, view] : file.tensors()) {
      names.push_back(name);
      copies.push_back(view_tensor(view).clone());
      if (name == "model.norm.weight") copies.back().fill_(3e38);  // finite, its products are not
    }
    std::vector<TensorToWrite> tensors;
    for (std::size_t i = 0; i < names.size(); ++i) tensors.push_back(tensor_to_write(names[i], copies[i]));
    write_safetensors(tiny.folder / "model/model.safetensors", tensors, {});
  }
  const Config config = tiny.config();
  const Workspace workspace = open_workspace(config, alone());
  REQUIRE_THROWS_WITH(run_oracle(config, workspace.model, workspace.tokenizer, alone()),
                      Catch::Contains("train-000000") && Catch::Contains("not finite"));
  CHECK(oracle_files(tiny.run() / "oracle", "train").empty());
}

TEST_CASE("run folder: two runs at once in one folder are refused", "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config();
  const OpenRun run = open_run_folder(config);
  REQUIRE_THROWS_WITH(command_stage(config, Stage::kOracle, alone()), Catch::Contains(tiny.run().string()));
}

TEST_CASE("export: ours round-trips, the released layout needs released features and comes back",
          "[stages]") {
  const Tiny tiny;
  const Config config = tiny.config({"scorer.features=released", "supervised.steps=2"});
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  run_supervised(config, workspace.model, workspace.tokenizer, alone());
  const auto released = command_export(config, "supervised", "", ExportLayout::kReleased);
  const SafetensorsFile file(released);
  CHECK(file.tensors().size() == 8);
  CHECK(file.at("model.layers.1.self_attn.judge_model.fc1.weight").shape ==
        std::vector<std::int64_t>{2, 48, 16});
  const Config again = tiny.config({"scorer.features=released", "scorer.initial=" + released.string(),
                                    "supervised.steps=2", "output=" + (tiny.folder / "again").string()});
  run_oracle(again, workspace.model, workspace.tokenizer, alone());
  REQUIRE_NOTHROW(run_supervised(again, workspace.model, workspace.tokenizer, alone()));
  const Config normalised = tiny.config({"supervised.steps=2", "output=" + (tiny.folder / "third").string()});
  run_oracle(normalised, workspace.model, workspace.tokenizer, alone());
  run_supervised(normalised, workspace.model, workspace.tokenizer, alone());
  REQUIRE_THROWS_WITH(command_export(normalised, "supervised", "", ExportLayout::kReleased),
                      Catch::Contains("released"));
  REQUIRE_THROWS_WITH(command_export(normalised, "rkv", "", ExportLayout::kForesight),
                      Catch::Contains("is not a scorer"));
}
