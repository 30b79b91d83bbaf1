// The program's messages and exit codes for mistakes of its user.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/program/run_program.h"

namespace foresight {
namespace {

TEST_CASE("program: faults of the command line and of the config end with 2 and say what is near",
          "[program]") {
  for (const auto& [word, near] : {std::pair{"trian", "`run` trains in all stages"},
                                   {"train", "`supervised` and `grpo`"},
                                   {"evalute", "the nearest is evaluate"},
                                   {"validat", "the nearest is validate"}}) {
    INFO(word);
    const ProgramResult mistyped = run_program({"--quiet", word, "--config", "configs/tiny.yaml"});
    CHECK(mistyped.exit_code == 2);
    CHECK(mistyped.lines_with("'" + std::string(word) + "' is not a command of foresight").size() == 1);
    CHECK(mistyped.lines_with(near).size() == 1);
  }
  CHECK(run_program({"config", "shwo"}).lines_with("the nearest is show").size() == 1);
  CHECK(run_program({"run"}).exit_code == 2);
  const ProgramResult misspelt =
      run_program({"validate", "--config", "configs/tiny.yaml", "supervised.lerning_rate=1", "grpo.steps=x"});
  CHECK(misspelt.exit_code == 2);
  CHECK(misspelt.err.find("supervised.learning_rate") != std::string::npos);
  CHECK(misspelt.err.find("grpo.steps") != std::string::npos);
}

TEST_CASE("program: files that are missing or cut short end with 3 and are named", "[program]") {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string();
  const auto validate = [&] {
    return run_program({"validate", "--config", "configs/tiny.yaml", "model.path=" + model,
                        "output=" + (folder / "run").string(), "data.train=[" + model + "/train.jsonl]",
                        "data.evaluation=[" + model + "/evaluation.jsonl]"});
  };
  const ProgramResult missing = validate();
  CHECK(missing.exit_code == 3);
  CHECK(missing.err.find(model) != std::string::npos);
  REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0);
  REQUIRE(validate().exit_code == 0);
  std::filesystem::resize_file(model + "/model.safetensors", 4000);
  const ProgramResult cut = validate();
  CHECK(cut.exit_code == 3);
  CHECK(cut.err.find("model.safetensors") != std::string::npos);
  CHECK(run_program({"inspect", (folder / "nothing.h5").string()}).exit_code == 3);
}

TEST_CASE("program: a tokenizer that does not match the model, and text that is not UTF-8, end with 3",
          "[program]") {
  const TemporaryFolder folder;
  const auto model = folder / "model";
  REQUIRE(run_program({"make-tiny-model", model.string()}).exit_code == 0);
  const auto validate = [&](const std::string& train) {
    return run_program({"validate", "--config", "configs/tiny.yaml", "model.path=" + model.string(),
                        "output=" + (folder / "run").string(), "data.train=[" + train + "]",
                        "data.evaluation=[" + (model / "evaluation.jsonl").string() + "]"});
  };
  const auto broken = folder.write("broken.jsonl", "{\"text\": \"caf\xe9\"}\n");
  const ProgramResult text = validate(broken.string());
  CHECK(text.exit_code == 3);
  CHECK(text.err.find("broken.jsonl:1: not UTF-8 at byte") != std::string::npos);

  auto tokenizer = nlohmann::json::parse(content_of(model / "tokenizer.json"));
  std::int64_t largest = 0;
  for (const auto& [token, id] : tokenizer.at("model").at("vocab").items())
    largest = std::max(largest, id.get<std::int64_t>());
  for (const auto& added : tokenizer.at("added_tokens"))
    largest = std::max(largest, added.at("id").get<std::int64_t>());
  for (std::int64_t more = 1; more <= 64; ++more) {
    tokenizer["added_tokens"].push_back({{"id", largest + more},
                                         {"content", "<|extra" + std::to_string(more) + "|>"},
                                         {"single_word", false},
                                         {"lstrip", false},
                                         {"rstrip", false},
                                         {"normalized", false},
                                         {"special", true}});
  }
  folder.write("model/tokenizer.json", tokenizer.dump());
  const ProgramResult mismatch = validate((model / "train.jsonl").string());
  CHECK(mismatch.exit_code == 3);
  CHECK(mismatch.err.find("do not belong together") != std::string::npos);
}

TEST_CASE("program: groups without a signal and traces of other settings are warned about", "[program]") {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string();
  REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0);
  std::vector<std::string> arguments = {"run",
                                        "--config",
                                        "configs/tiny.yaml",
                                        "model.path=" + model,
                                        "output=" + (folder / "run").string(),
                                        "data.train=[" + model + "/train.jsonl]",
                                        "data.evaluation=[]",
                                        "data.max_train_traces=2",
                                        "traces.prompts=[" + model + "/prompts.jsonl]",
                                        "traces.max_new_tokens=2",
                                        "supervised.steps=1",
                                        "supervised.warmup_steps=0",
                                        "grpo.steps=1",
                                        "grpo.traces_per_step=2",
                                        "grpo.reward=squared_large_rise",
                                        "grpo.reward_threshold_nats=50",
                                        "runtime.threads=1"};
  const ProgramResult first = run_program(arguments);
  INFO(first.err);
  REQUIRE(first.exit_code == 0);
  CHECK(first.lines_with("grpo: 2 of 2 groups of step 1 carry no signal").size() == 1);
  CHECK(first.lines_with("is used as it is").empty());
  arguments.emplace_back("traces.temperature=0.1");
  const ProgramResult second = run_program(arguments);
  REQUIRE(second.exit_code == 0);
  CHECK(second.lines_with("traces.jsonl is used as it is").size() == 1);
  std::filesystem::remove(model + "/prompts.jsonl");
  std::filesystem::resize_file(folder / "run/grpo/checkpoints/step-000001/scorer.safetensors", 100);
  const ProgramResult third = run_program(arguments);
  INFO(third.err);
  REQUIRE(third.exit_code == 0);
  CHECK(third
            .lines_with(
                "traces.jsonl is used as it is; the program cannot tell what this config would generate")
            .size() == 1);
  CHECK(third.lines_with("error skipping the damaged checkpoint").size() == 1);
  CHECK(third.lines_with("grpo/checkpoints/step-000000 at step 0 of 1").size() == 1);
}

TEST_CASE("program: an OpenSSL whose default provider is off is named, with exit code 4", "[program]") {
  const TemporaryFolder folder;
  const auto file = folder.write("openssl.cnf",
                                 "openssl_conf = init\n[init]\nproviders = providers\n[providers]\n"
                                 "null = null_section\n[null_section]\nactivate = 1\n");
  const ProgramResult result = run_program({"make-tiny-model", (folder / "model").string()});
  REQUIRE(result.exit_code == 0);
  const ProgramResult refused =
      run_program({"validate", "--config", "configs/tiny.yaml", "model.path=" + (folder / "model").string(),
                   "output=" + (folder / "run").string()},
                  {.environment = {{"OPENSSL_CONF", file.string()}}});
  CHECK(refused.exit_code == 4);
  CHECK(refused.lines_with("SHA-256: OpenSSL refuses it").size() == 1);
}

TEST_CASE("program: an absurd OMP_NUM_THREADS is refused instead of started", "[program]") {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string();
  REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0);
  const ProgramResult result =
      run_program({"generate", "--config", "configs/tiny.yaml", "--prompt", "a", "--raw",
                   "model.path=" + model, "generation.policy=full", "runtime.threads=0"},
                  {.environment = {{"OMP_NUM_THREADS", "100000"}}});
  CHECK(result.exit_code == 2);
  CHECK(result.lines_with("OMP_NUM_THREADS is 100000: expected at most 1024").size() == 1);
}

TEST_CASE("program: help and version end with 0", "[program]") {
  CHECK(run_program({"--help"}).exit_code == 0);
  CHECK(run_program({"--version"}).exit_code == 0);
  CHECK(run_program({"grpo", "--help"}).out.find("--config") != std::string::npos);
}

}  // namespace
}  // namespace foresight
