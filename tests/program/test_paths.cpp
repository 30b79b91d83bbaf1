// Paths that belong to others: what the program may overwrite, remove, or use as its own.
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "tests/program/run_program.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

/// A tiny model, and commands of a small run on it.
struct TinyRuns {
  TemporaryFolder folder;
  std::string model = (folder / "model").string();
  TinyRuns() { REQUIRE(run_program({"make-tiny-model", model}).exit_code == 0); }

  ProgramResult call(const std::string& command, const std::string& run,
                     const std::vector<std::string>& more = {}, const ProgramLimits& limits = {}) const {
    std::vector<std::string> arguments = {command,
                                          "--config",
                                          "configs/tiny.yaml",
                                          "model.path=" + model,
                                          "output=" + (folder / run).string(),
                                          "data.train=[" + model + "/train.jsonl]",
                                          "data.evaluation=[]",
                                          "data.max_train_traces=2",
                                          "supervised.steps=2",
                                          "supervised.warmup_steps=0",
                                          "supervised.save_every=1",
                                          "supervised.evaluate_every=1",
                                          "grpo.steps=1",
                                          "grpo.warmup_steps=0",
                                          "grpo.traces_per_step=1",
                                          "generation.max_new_tokens=4",
                                          "runtime.threads=1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    ProgramResult result = run_program(arguments, limits);
    INFO(command << ": " << result.err);
    return result;
  }
  void succeed(const std::string& command, const std::string& run,
               const std::vector<std::string>& more = {}) const {
    const ProgramResult result = call(command, run, more);
    INFO(command << ": " << result.err);
    REQUIRE(result.exit_code == 0);
  }
};

TEST_CASE("program: log lines never land in a file of the run, with closed descriptors neither",
          "[program]") {
  const TinyRuns tiny;
  REQUIRE(tiny.call("oracle", "run", {}, {.closed = {0, 1, 2}}).exit_code == 0);
  REQUIRE(tiny.call("supervised", "run", {}, {.closed = {1, 2}}).exit_code == 0);
  std::istringstream rows(content_of(tiny.folder / "run/supervised/metrics.jsonl"));
  int count = 0;
  for (std::string row; std::getline(rows, row); ++count) CHECK(nlohmann::json::accept(row));
  CHECK(count == 2);
}

TEST_CASE("program: a run resumes from another run's checkpoint, and the other run's files stay",
          "[program]") {
  const TinyRuns tiny;
  for (const char* run : {"a", "b"}) tiny.succeed("oracle", run);
  tiny.succeed("supervised", "a");
  const fs::path other = tiny.folder / "a/supervised/checkpoints/step-000002";
  const std::string manifest = content_of(other / "manifest.json");
  const std::vector<std::string> resume = {"supervised.resume=" + other.string()};
  for (int start = 0; start < 2; ++start) {
    const ProgramResult result = tiny.call("supervised", "b", resume);
    INFO(result.err);
    CHECK(result.exit_code == 0);
    CHECK(result.lines_with("copying step 2 of another run").size() == 1);
    CHECK(
        result.lines_with("best checkpoint " + (tiny.folder / "b/supervised/checkpoints").string()).size() ==
        1);
  }
  CHECK(content_of(tiny.folder / "b/supervised/metrics.jsonl") ==
        content_of(tiny.folder / "a/supervised/metrics.jsonl"));
  tiny.succeed("supervised", "b");  // its own now
  CHECK(content_of(other / "manifest.json") == manifest);
}

TEST_CASE("program: scorers made for another window or model are warned about wherever they are used",
          "[program]") {
  const TinyRuns tiny;
  tiny.succeed("oracle", "a");
  tiny.succeed("supervised", "a");
  tiny.succeed("export", "a", {"--policy", "supervised"});
  const std::string scorer = (tiny.folder / "a/exports/supervised.safetensors").string();
  const auto expect = [&](const std::string& run, const std::string& size, std::size_t lines,
                          const std::string& words) {
    tiny.succeed("oracle", run, {size});
    for (const std::string command : {"generate", "supervised", "grpo"}) {
      std::vector<std::string> more = {size, "scorer.initial=" + scorer, "grpo.start=" + scorer,
                                       "generation.policy=" + scorer};
      if (command == "generate") more.insert(more.end(), {"--prompt", "ann has", "--raw"});
      const ProgramResult result = tiny.call(command, run, more);
      INFO(command << ": " << result.err);
      CHECK(result.exit_code == 0);
      CHECK(result.lines_with(words).size() == lines);
    }
  };
  expect("same", "eviction.window=16", 0, "trained ");
  expect("narrow", "eviction.window=8", 1, "trained with window 16, used with 8");
  REQUIRE(run_program({"make-tiny-model", (tiny.folder / "other").string(), "--seed", "2"}).exit_code == 0);
  fs::copy_file(tiny.folder / "other/model.safetensors", tiny.folder / "model/model.safetensors",
                fs::copy_options::overwrite_existing);
  expect("model", "eviction.window=16", 1, "trained for another model");
}

TEST_CASE("program: a tiny model is not written over another model, but over a tiny one", "[program]") {
  const TinyRuns tiny;
  CHECK(run_program({"make-tiny-model", tiny.model, "--seed", "3"}).exit_code == 0);
  const auto refused = [&](const std::string& name, const std::string& content) {
    fs::remove_all(tiny.folder / "real");
    fs::create_directory(tiny.folder / "real");
    tiny.folder.write("real/" + name, content);
    const ProgramResult result = run_program({"make-tiny-model", (tiny.folder / "real").string()});
    INFO(result.err);
    CHECK(result.exit_code == 2);
    CHECK(result.lines_with("real/" + name + " already exists and does not belong to a tiny model").size() ==
          1);
    CHECK(content_of(tiny.folder / ("real/" + name)) == content);
    CHECK(std::distance(fs::directory_iterator(tiny.folder / "real"), fs::directory_iterator()) == 1);
  };
  refused("config.json", R"({"architectures": ["LlamaForCausalLM"]})");
  refused("model.safetensors", "weights");
  refused("train.jsonl", "{\"text\": \"mine\"}\n");
}

TEST_CASE("program: a device, a pipe and a link named by --out stay what they are", "[program]") {
  const TinyRuns tiny;
  tiny.succeed("oracle", "a");
  tiny.succeed("supervised", "a");
  const auto export_to = [&](const fs::path& out) {
    return tiny.call("export", "a", {"--policy", "supervised", "--out", out.string()});
  };
  fs::create_symlink("/dev/full", tiny.folder / "full");
  CHECK(export_to(tiny.folder / "full").exit_code == 4);
  CHECK(fs::is_symlink(tiny.folder / "full"));
  CHECK(fs::is_character_file("/dev/full"));
  REQUIRE(::mkfifo((tiny.folder / "pipe").c_str(), 0600) == 0);
  CHECK(export_to(tiny.folder / "pipe").exit_code == 4);
  CHECK(fs::is_fifo(tiny.folder / "pipe"));
  fs::create_symlink("target.safetensors", tiny.folder / "link.safetensors");
  CHECK(export_to(tiny.folder / "link.safetensors").exit_code == 0);
  CHECK(fs::is_symlink(tiny.folder / "link.safetensors"));
  CHECK(run_program({"inspect", (tiny.folder / "target.safetensors").string()}).exit_code == 0);
}

TEST_CASE("program: --out and --html that name no file are refused before any work", "[program]") {
  const TinyRuns tiny;
  const std::string folder = tiny.folder.path().string();
  for (const std::string& out : {std::string("-"), folder}) {
    const ProgramResult made = run_program({"config", "init", "a", "--out", out});
    CHECK(made.exit_code == 2);
    CHECK(made.lines_with("give --out or --html the file to write").size() == 1);
    CHECK(run_program({"compare", folder, folder, "--html", out}).exit_code == 2);
    CHECK(tiny.call("export", "a", {"--policy", "supervised", "--out", out}).exit_code == 2);
  }
  CHECK_FALSE(fs::exists("-"));
}

TEST_CASE("program: a leading ~ is the home folder, in a config and behind --out=", "[program]") {
  const TinyRuns tiny;
  const std::string home = (tiny.folder / "home").string();
  fs::create_directory(home);
  const ProgramResult shown = run_program(
      {"config", "show", "--config", "configs/tiny.yaml", "output=~/x", "data.evaluation=['~/e.jsonl']"},
      {.environment = {{"HOME", home}}});
  CHECK_THAT(shown.out, Contains("output: " + home + "/x\n") && Contains(home + "/e.jsonl"));
  const ProgramResult begun =
      run_program({"config", "init", "a", "--out=~/a.yaml"}, {.environment = {{"HOME", home}}});
  CHECK(begun.exit_code == 0);
  CHECK(fs::exists(home + "/a.yaml"));
  const ProgramResult other =
      run_program({"config", "show", "--config", "configs/tiny.yaml", "output=~nobody/x"});
  CHECK(other.exit_code == 2);
  CHECK(other.lines_with("the home folder of another user is not looked up").size() == 1);
}

TEST_CASE("program: a report of a run that is not there leaves no folder behind", "[program]") {
  const TinyRuns tiny;
  const ProgramResult result = tiny.call("report", "absent");
  CHECK(result.exit_code == 3);
  CHECK(result.lines_with("absent/evaluation.json").size() == 1);
  CHECK_FALSE(fs::exists(tiny.folder / "absent"));
}

TEST_CASE("program: a file that a command reads is not the one that it writes", "[program]") {
  const TinyRuns tiny;
  const fs::path attention = tiny.folder.write("captured.safetensors", "queries and keys");
  const ProgramResult plan = run_program({"plan", "--attention", attention.string(), "--budget", "4",
                                          "--window", "2", "--out", attention.string()});
  CHECK(plan.exit_code == 2);
  CHECK(plan.lines_with("is the file that --attention reads").size() == 1);
  tiny.succeed("oracle", "a");
  tiny.succeed("supervised", "a");
  tiny.succeed("export", "a", {"--policy", "supervised", "--out", (tiny.folder / "s.safetensors").string()});
  fs::create_hard_link(tiny.folder / "s.safetensors", tiny.folder / "same.safetensors");
  const ProgramResult again = tiny.call("export", "a",
                                        {"--policy", (tiny.folder / "s.safetensors").string(), "--out",
                                         (tiny.folder / "same.safetensors").string()});
  CHECK(again.exit_code == 2);
  CHECK(again.lines_with("same.safetensors is the file that is read").size() == 1);
  const std::string config = (tiny.folder / "a/config.yaml").string(), written = content_of(config);
  const ProgramResult page =
      run_program({"compare", (tiny.folder / "a").string(), (tiny.folder / "a").string(), "--html", config});
  CHECK(page.exit_code == 2);
  CHECK(page.lines_with("config.yaml is a file of a run that is read").size() == 1);
  CHECK(content_of(config) == written);
  const std::string prompts = tiny.model + "/prompts.jsonl", before = content_of(prompts);
  const ProgramResult traces =
      tiny.call("traces", "a",
                {"traces.prompts=[" + prompts + "]", "traces.file=" + prompts, "traces.max_new_tokens=2"});
  CHECK(traces.exit_code == 2);
  CHECK(traces.lines_with("is also named by traces.prompts").size() == 1);
  CHECK(content_of(prompts) == before);
}

}  // namespace
}  // namespace foresight
