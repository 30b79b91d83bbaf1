// What a run needs is checked before it begins, by `validate` and by `run` alike.
#include <torch/types.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/stages/change_model_config.h"
#include "tests/stages/printed.h"
#include "tests/stages/tiny.h"
#include "trainer/app/commands.h"
#include "trainer/app/stage_table.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// What `action` prints, and the message of the Error that it throws, if any.
template <class Action>
std::pair<std::string, std::string> outcome(Action action) {
  std::string message;
  const std::string text = printed([&] {
    try {
      action();
    } catch (const Error& error) {
      message = error.what();
    }
  });
  return {text, message};
}

/// `validate` and `run` refuse this config with the same message, before anything is recorded or trained.
void check_refused(const Config& config, const std::string& part, const std::string& other_part = "") {
  INFO(part);
  const std::string validated = outcome([&] { command_validate(config); }).second;
  CHECK_THAT(validated, Catch::Contains(part) && Catch::Contains(other_part));
  CHECK(validated.find('\n') == std::string::npos);
  CHECK(outcome([&] { command_run(config, alone()); }).second == validated);
  for (const char* folder : {"oracle", "supervised", "grpo", "traces"}) {
    const auto path = std::filesystem::path(config.output) / folder;
    if (!std::filesystem::exists(path)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      CHECK_FALSE(entry.is_regular_file());
  }
}

}  // namespace

TEST_CASE("preconditions: what would fail after training is refused before it", "[stages]") {
  const Tiny tiny;
  const std::string absent = (tiny.folder / "absent").string();
  const auto problems = tiny.folder / "problems.jsonl";
  const std::string tasks = "evaluation.tasks=[" + problems.string() + "]";
  check_refused(tiny.config({"evaluation.tasks=[" + absent + ".jsonl]"}), "absent.jsonl: cannot be opened");
  write_file_atomically(problems, "{\"prompt\": \"a\", \"answer\": \"1\"}\n{\"prompt\": \"b\"}\n");
  check_refused(tiny.config({tasks}), "problems.jsonl:2 has no \"answer\"");
  write_file_atomically(problems, R"({"prompt": "ann has 3", "answer": "1"})");
  check_refused(tiny.config({tasks, "generation.max_new_tokens=4090"}),
                "evaluation.tasks: problems.jsonl:1: ", "4096 positions");
  check_refused(tiny.config({"evaluation.passkey_tokens=4090"}), "evaluation.passkey_tokens",
                "4096 positions");
  check_refused(tiny.config({"evaluation.cost_contexts=[64, 5000]"}), "evaluation.cost_contexts: 5000");
  check_refused(tiny.config({"evaluation.continued_prompts=1", "generation.max_new_tokens=4090"}),
                "evaluation.continued_prompts: evaluation trace 0: ", "4096 positions");
  check_refused(tiny.config({"evaluation.recall_facts=1", "evaluation.recall_evictions=[3, 300]"}),
                "evaluation.recall_facts: opening and statement", "raise eviction.budget");
  check_refused(tiny.config({"evaluation.recall_facts=1", "evaluation.recall_evictions=[300]"}),
                "evaluation.recall_evictions: a fact that is asked for after 300 evictions",
                "4096 positions");
  check_refused(tiny.config({"grpo.steps=0", "evaluation.policies=[full, supervised, grpo]"}),
                "evaluation.policies: grpo", "grpo.steps is 0");
  check_refused(tiny.config({"supervised.resume=" + absent}), "supervised.resume: no checkpoint folder at");
  check_refused(tiny.config({"grpo.resume=" + absent}), "grpo.resume: no checkpoint folder at");
  for (const char* key : {"grpo.start", "scorer.initial"})
    check_refused(tiny.config({key + ("=" + absent) + ".safetensors"}), "absent.safetensors");
  check_refused(tiny.config({"evaluation.policies=[full, " + absent + ".safetensors]"}),
                "absent.safetensors");
}

TEST_CASE("preconditions: an output or a traces file that cannot be one is refused by validate too",
          "[stages]") {
  const Tiny tiny;
  const auto file = tiny.temporary.write("file", "x");
  for (const std::string& output : {file.string(), (tiny.folder / "file/run").string()})
    check_refused(tiny.config({"output=" + output}), "cannot create folder", "file is a file");
  CHECK(read_file(file) == "x");
  const std::string prompts = (tiny.folder / "model/prompts.jsonl").string();
  const auto refused = [&](const std::string& name, const std::string& part) {
    check_refused(tiny.config({"traces.prompts=[" + prompts + "]", "traces.file=" + name}),
                  "traces.file: ", part);
  };
  refused("oracle", "has another use in the run");
  refused("/dev/null", "is a folder, device or pipe");
  refused("./config.yaml", "has another use in the run");
  refused(prompts, "is also named by traces.prompts");
}

TEST_CASE("preconditions: a checkpoint of another stage or of other settings is refused before any work",
          "[stages]") {
  const Tiny tiny;
  printed([&] { command_run(tiny.config(), alone()); });
  const auto with = [&](std::vector<std::string> more, const std::string& output) {
    more.insert(more.begin(), "output=" + (tiny.folder / output).string());
    return tiny.config(more);
  };
  const std::string checkpoint = (tiny.run() / "supervised/checkpoints/step-000006").string();
  check_refused(with({"grpo.resume=" + checkpoint}, "a"), "step-000006: a checkpoint of kind",
                "of stage grpo");
  check_refused(with({"supervised.resume=" + checkpoint, "runtime.seed=2"}, "b"),
                "written with other settings (runtime.seed: 1 -> 2)");
  check_refused(with({"supervised.resume=" + (tiny.run() / "supervised").string()}, "c"),
                "supervised holds no manifest.json: it is not a checkpoint");
  const auto refusal = [&](auto command) {
    return outcome([&] { command(tiny.config({"eviction.window=8"})); }).second;
  };
  const std::string validated = refusal([](const Config& config) { command_validate(config); });
  CHECK_THAT(validated, Catch::Contains("written with other settings (eviction.window: 16 -> 8)"));
  CHECK(refusal([](const Config& config) { command_run(config, alone()); }) == validated);
}

TEST_CASE("preconditions: an evaluation that scores no token is refused, at every budget", "[stages]") {
  const Tiny tiny;
  const auto rows = tiny.folder / "rows.jsonl";
  const std::string text(400, 'x');
  const std::vector<std::string> settings = {"data.evaluation=[" + rows.string() + "]",
                                             "evaluation.score=completion"};
  write_file_atomically(rows, nlohmann::json{{"prompt", text}, {"completion", ""}}.dump());
  check_refused(tiny.config(settings), "evaluation.score=completion: no token is scored",
                "none of the 1 evaluation traces has a completion token");
  // A completion that begins after the smaller budget's first scored token, and ends before the larger's.
  write_file_atomically(rows, nlohmann::json{{"prompt", text.substr(0, 60)}, {"completion", "aaaa"}}.dump() +
                                  "\n" + nlohmann::json{{"prompt", text}, {"completion", ""}}.dump());
  std::vector<std::string> swept = settings;
  swept.emplace_back("evaluation.budgets=[64]");
  check_refused(tiny.config(swept), "scoring begins at token 81");
  CHECK(outcome([&] { command_validate(tiny.config(settings)); }).second.empty());
}

TEST_CASE("preconditions: a prompt or a trace longer than the model is named before anything runs",
          "[stages]") {
  const Tiny tiny;
  const auto prompts = tiny.folder / "prompts.jsonl";
  write_file_atomically(prompts,
                        "{\"prompt\": \"ann has\"}\n{\"prompt\": \"" + std::string(200, 'x') + "\"}\n");
  const std::vector<std::string> settings = {"traces.prompts=[" + prompts.string() + "]",
                                             "traces.max_new_tokens=3900"};
  check_refused(tiny.config(settings), "traces.prompts: prompts.jsonl:2: ", "traces.max_new_tokens");
  change_model_config(tiny.folder / "model", {{"max_position_embeddings", 100}});
  check_refused(tiny.config(), "a train trace of 160 tokens, but the model has 100 positions",
                "data.trace_tokens");
}

TEST_CASE("preconditions: traces that a stage will generate need not exist yet", "[stages]") {
  const Tiny tiny;
  const std::string prompts = "traces.prompts=[" + (tiny.folder / "model/prompts.jsonl").string() + "]";
  const std::string train = "data.train=[" + (tiny.run() / "traces.jsonl").string() + "]";
  const auto [text, message] = outcome([&] { command_validate(tiny.config({prompts, train})); });
  CHECK(message.empty());
  CHECK_THAT(text, Catch::Contains("traces.jsonl does not exist yet") &&
                       Catch::Contains("train: 4 traces (if `foresight traces` generates that many)"));
  CHECK(stages_of_run(tiny.config({prompts, train})).front() == Stage::kTraces);
  // No stage makes another file.
  check_refused(tiny.config({prompts, "data.train=[" + (tiny.folder / "other.jsonl").string() + "]"}),
                "other.jsonl: cannot be opened", "`foresight traces` writes");
  CHECK_THAT(outcome([&] { command_validate(tiny.config({train})); }).second,
             Catch::Contains("traces.jsonl: cannot be opened"));
}
