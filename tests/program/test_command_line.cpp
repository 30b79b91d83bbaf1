// The command line as a user meets it: help, versions, configs to start from, completion, JSON for scripts.
#include <sys/wait.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/program/run_program.h"

namespace foresight {
namespace {

using Catch::Contains;

/// What a bash script prints; it must end with 0.
std::string output_of_bash(const std::filesystem::path& script) {
  FILE* pipe = ::popen(("bash " + script.string()).c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  for (int letter = std::fgetc(pipe); letter != EOF; letter = std::fgetc(pipe)) {
    text += static_cast<char>(letter);
  }
  CHECK(::pclose(pipe) == 0);
  return text;
}

/// The names of the commands, as `foresight --help` lists them.
std::vector<std::string> listed_commands() {
  const std::string help = run_program({"--help"}).out;
  std::istringstream lines(help.substr(help.find("Subcommands:")));
  std::vector<std::string> names;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.starts_with("  ")) {
    names.push_back(line.substr(2, line.find(' ', 2) - 2));
  }
  return names;
}

TEST_CASE("command line: every command has help with an example", "[program]") {
  const auto names = listed_commands();
  CHECK(names.size() >= 17);
  for (const std::string& name : names) {
    INFO(name);
    const ProgramResult help = run_program({name, "--help"});
    CHECK(help.exit_code == 0);
    if (name == "config") continue;  // its own commands have them
    CHECK_THAT(help.out, Contains("Examples:\n") && Contains("foresight " + name));
  }
  for (const char* name : {"init", "show", "docs"}) {
    CHECK_THAT(run_program({"config", name, "--help"}).out, Contains("Examples:\n"));
  }
  CHECK_THAT(run_program({"--help"}).out, Contains("Exit codes: 0 done;") && Contains("NO_COLOR"));
}

TEST_CASE("command line: the version names what the program was built from", "[program]") {
  const std::string version = run_program({"--version"}).out;
  for (const char* part :
       {"foresight 0.", "\ntorch ", "\nCUDA ", "\nNCCL ", "\nMPI ", "\nHDF5      1.", "\ncompiler "}) {
    CHECK_THAT(version, Contains(part));
  }
}

TEST_CASE("command line: a config to start from is written once, and is valid", "[program]") {
  const TemporaryFolder folder;
  const std::string file = (folder / "first.yaml").string();
  const ProgramResult made = run_program({"config", "init", "first", "--out", file});
  CHECK(made.exit_code == 0);
  CHECK(made.out == file + "\n");
  CHECK_THAT(run_program({"config", "show", "--config", file}).out, Contains("output: runs/first\n"));
  const ProgramResult again = run_program({"config", "init", "first", "--out", file});
  CHECK(again.exit_code == 2);
  CHECK_THAT(again.err, Contains("exists already"));
  CHECK(run_program({"config", "init", "../first"}).exit_code == 2);
}

TEST_CASE("command line: set files and overrides come on top of the config, in this order", "[program]") {
  const TemporaryFolder folder;
  const std::string one = folder.write("one.yaml", "grpo: {steps: 11, group_size: 4}\n").string();
  const std::string two = folder.write("two.yaml", "grpo: {steps: 12}\n").string();
  const auto shown = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"config", "show", "--config", "configs/tiny.yaml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProgramResult result = run_program(arguments);
    CHECK(result.exit_code == 0);
    return result.out.substr(result.out.find("\ngrpo:"));
  };
  CHECK_THAT(shown({"--set-file", one, "--set-file", two}),
             Contains("  steps: 12\n") && Contains("  group_size: 4\n"));
  CHECK_THAT(shown({"--set-file", two, "--set-file", one}), Contains("  steps: 11\n"));
  CHECK_THAT(shown({"--set-file", one, "grpo.steps=13"}),
             Contains("  steps: 13\n") && Contains("  group_size: 4\n"));
}

TEST_CASE("command line: bash completes commands, options and keys", "[program]") {
  const TemporaryFolder folder;
  const ProgramResult script = run_program({"completion", "bash"});
  REQUIRE(script.exit_code == 0);
  const auto completions = [&](const std::string& words) {
    const std::string file = (folder / "completion.bash").string();
    folder.write("completion.bash", script.out);
    return output_of_bash(folder.write(
        "try.sh",
        "set -u\nsource " + file + "\ncomplete -p foresight >/dev/null\nCOMP_WORDS=(" + words +
            ")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_foresight\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"));
  };
  CHECK(completions("foresight eval") == "evaluate\n");
  CHECK(completions("foresight gr") == "grpo\n");
  CHECK(completions("foresight export --rel") == "--released\n");
  CHECK(completions("foresight grpo --config a.yaml grpo.group") == "grpo.group_size=\n");
  CHECK(completions("foresight config ini") == "init\n");
  CHECK(completions("foresight config show --set") == "--set-file\n");
  CHECK(completions("foresight --log-level w") == "warning\n");
  // Keys follow only commands that read a config.
  CHECK(completions("foresight inspect grpo.group") == "\n");
  CHECK_THAT(run_program({"completion", "zsh"}).out, Contains("#compdef foresight\n"));
  CHECK(run_program({"completion", "fish"}).exit_code == 2);
}

TEST_CASE("command line: --json of validate, evaluate and run has what the text has", "[program]") {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string();
  REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0);
  const auto json_of = [&](const std::string& command) {
    const ProgramResult result = run_program(
        {"--quiet", command, "--json", "--config", "configs/tiny.yaml", "output=" + (folder / "run").string(),
         "model.path=" + model, "data.train=[" + model + "/train.jsonl]", "traces.prompts=[]",
         "data.evaluation=[" + model + "/evaluation.jsonl]", "data.max_train_traces=4", "supervised.steps=2",
         "grpo.steps=1", "evaluation.max_traces=2", "runtime.threads=1"});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    CHECK(result.err.empty());
    return nlohmann::json::parse(result.out);
  };
  const auto forecast = json_of("validate");
  CHECK(forecast.at("model").at("architecture") == "LlamaForCausalLM");
  CHECK(forecast.at("needs").at("disk_bytes").get<std::uint64_t>() > 0);
  CHECK(forecast.at("steps").at("grpo") == 1);
  const auto run = json_of("run");
  const auto stored = nlohmann::json::parse(content_of(folder / "run/evaluation.json"));
  CHECK(run.at("evaluation") == stored);
  CHECK(run.at("paths").size() >= 4);
  CHECK(json_of("evaluate") == nlohmann::json::parse(content_of(folder / "run/evaluation.json")));
}

TEST_CASE("command line: an estimate for another machine needs neither weights nor traces nor a GPU",
          "[program]") {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string();
  REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0);
  std::filesystem::remove(folder / "model/model.safetensors");
  std::filesystem::remove(folder / "model/train.jsonl");
  const auto needs_of = [&](int ranks, const std::string& device) {
    const ProgramResult result = run_program(
        {"validate", "--elsewhere", std::to_string(ranks), "--json", "--config", "configs/tiny.yaml",
         "output=" + (folder / "run").string(), "model.path=" + model,
         "data.train=[" + model + "/train.jsonl]", "traces.prompts=[]", "runtime.device=" + device});
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return nlohmann::json::parse(result.out).at("needs");
  };
  const auto bytes = [](const nlohmann::json& needs, const char* key) {
    return needs.at(key).get<std::uint64_t>();
  };
  const auto one = needs_of(1, "cpu"), two = needs_of(2, "cpu"), gpu = needs_of(1, "cuda");
  CHECK(bytes(one, "device_bytes") == 0);
  CHECK(bytes(two, "memory_bytes") > bytes(one, "memory_bytes"));
  CHECK(bytes(gpu, "device_bytes") > 0);
  const ProgramResult none =
      run_program({"validate", "--elsewhere", "0", "--config", "configs/tiny.yaml", "model.path=" + model});
  CHECK(none.exit_code == 2);
  CHECK_THAT(none.err, Contains("expected a number of ranks from 1, got 0"));
}

TEST_CASE("command line: inspect and validate say which layers of a model evict", "[program]") {
  const std::string model = "tests/reference/families/qwen3_sliding";
  const ProgramResult shown = run_program({"inspect", model});
  REQUIRE(shown.exit_code == 0);
  const auto facts = nlohmann::json::parse(shown.out);
  CHECK(facts.at("kind") == "model");
  CHECK(facts.at("layers") == 4);
  CHECK(facts.at("evicting_layers") == std::vector<int>{1, 3});
  CHECK(facts.at("sliding_window") == 9);
  const TemporaryFolder folder;
  const ProgramResult forecast =
      run_program({"validate", "--elsewhere", "1", "--config", "configs/tiny.yaml",
                   "output=" + (folder / "run").string(), "model.path=" + model, "traces.prompts=[]"});
  INFO(forecast.err);
  REQUIRE(forecast.exit_code == 0);
  CHECK_THAT(forecast.out, Contains("Qwen3ForCausalLM, 4 layers, of which 2 evict (1, 3), "));
}

TEST_CASE("command line: the supervised stage reads its initial scorer once, behind the check before it",
          "[program]") {
  const TemporaryFolder folder;
  const std::string model = (folder / "model").string(), scorer = (folder / "released.safetensors").string();
  REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0);
  const auto call = [&](const std::string& command, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {command,
                                          "--config",
                                          "configs/tiny.yaml",
                                          "output=" + (folder / "run").string(),
                                          "model.path=" + model,
                                          "data.train=[" + model + "/train.jsonl]",
                                          "data.evaluation=[" + model + "/evaluation.jsonl]",
                                          "data.max_train_traces=4",
                                          "evaluation.max_traces=2",
                                          "scorer.features=released",
                                          "supervised.steps=1",
                                          "runtime.threads=1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProgramResult result = run_program(arguments);
    INFO(result.err);
    REQUIRE(result.exit_code == 0);
    return result;
  };
  call("oracle");
  call("supervised");
  call("export", {"--policy", "supervised", "--released", "--out", scorer});
  // As the authors' code writes it: without the facts that our files hold.
  const std::string ours = content_of(scorer);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, ours.data(), sizeof(header_bytes));
  auto header = nlohmann::ordered_json::parse(ours.substr(sizeof(header_bytes), header_bytes));
  header.erase("__metadata__");
  std::string text = header.dump();
  text.append(header_bytes - text.size(), ' ');
  folder.write("released.safetensors", ours.substr(0, sizeof(header_bytes)) + text +
                                           ours.substr(sizeof(header_bytes) + header_bytes));
  const std::string said = "released.safetensors: a released judge_model file";
  const ProgramResult anew = call("supervised", {"scorer.initial=" + scorer, "supervised.resume=never"});
  CHECK(anew.lines_with(said).size() == 2);
  const ProgramResult finished = call("supervised", {"scorer.initial=" + scorer});
  CHECK(finished.lines_with(said).size() == 2);
  CHECK(finished.lines_with("supervised: finished before at step 1").size() == 1);
  CHECK(finished.lines_with("supervised: best checkpoint").size() == 1);
}

TEST_CASE("command line: several runs become a page, and options that do not go together are refused",
          "[program]") {
  const TemporaryFolder folder;
  std::vector<std::string> runs;
  for (const char* name : {"a", "b", "c"}) {
    std::filesystem::create_directory(folder / name);
    runs.push_back((folder / name).string());
    folder.write(std::string(name) + "/config.yaml",
                 run_program({"config", "show", "--config", "configs/tiny.yaml"}).out);
  }
  const std::string page = (folder / "page.html").string();
  const ProgramResult compared = run_program({"compare", runs[0], runs[1], runs[2], "--html", page});
  CHECK(compared.exit_code == 0);
  CHECK(compared.out == page + "\n");
  CHECK_THAT(content_of(page), Contains("Foresight comparison: a, b, c"));
  CHECK(run_program({"compare", runs[0]}).exit_code == 2);
  CHECK(run_program({"compare", runs[0], runs[1], "--html", page, "--json"}).exit_code == 2);

  const ProgramResult all = run_program({"report", "--runs", folder.path().string()});
  CHECK(all.exit_code == 0);
  CHECK(all.out == (folder / "overview.html").string() + "\n");
  CHECK_THAT(content_of(folder / "overview.html"), Contains("Foresight runs: "));
  const ProgramResult neither = run_program({"report"});
  CHECK(neither.exit_code == 2);
  CHECK_THAT(neither.err, Contains("--config or --runs"));
  CHECK(run_program({"report", "--runs", runs[0], "--config", "configs/tiny.yaml"}).exit_code == 2);
  CHECK(run_program({"report", "--runs", runs[0], "grpo.steps=1"}).exit_code == 2);
  CHECK(run_program({"report", "--runs", (folder / "nothing").string()}).exit_code == 3);
}

}  // namespace
}  // namespace foresight
