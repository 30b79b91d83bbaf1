// Configs that are based on others, parts put on top, and the config to start from.
#include <cstdlib>
#include <set>

#include "tests/catch.h"
#include "tests/config/config_files.h"

namespace foresight {
namespace {

using Catch::Contains;

/// The message of loading main.yaml of `folder`, and nothing when it loads.
std::string fault_of(const TemporaryFolder& folder,
                     const std::vector<std::filesystem::path>& set_files = {}) {
  try {
    load_config(folder / "main.yaml", {}, set_files);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    return error.what();
  }
  return "";
}

TEST_CASE("config: a file's own keys come on top of its base, and that on top of its own base") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "shared");
  folder.write("shared/first.yaml", std::string(kMinimalConfig) + "supervised: {steps: 1, margin: 0.5}\n");
  folder.write("shared/second.yaml", "base: first.yaml\nsupervised: {steps: 2}\ngrpo: {steps: 3}\n");
  // The place of `base` in the file does not matter.
  folder.write("main.yaml", "grpo: {steps: 4}\nbase: shared/second.yaml\n");
  const Config config = load_config(folder / "main.yaml");
  CHECK(config.output == "runs/one");
  CHECK(config.supervised.steps == 2);
  CHECK(config.supervised.margin == 0.5);
  CHECK(config.grpo.steps == 4);
  CHECK(load_config(folder / "main.yaml", {"grpo.steps=5"}).grpo.steps == 5);
  // The config written to an output folder has no base.
  CHECK(to_yaml(config).find("base") == std::string::npos);
}

TEST_CASE("config: set files come on top of the config in their order, and overrides on top of them") {
  const TemporaryFolder folder;
  folder.write("main.yaml", std::string(kMinimalConfig) + "supervised: {steps: 1, margin: 0.5}\n");
  const auto one = folder.write("one.yaml", "supervised: {steps: 2}\ngrpo: {steps: 2}\n");
  const auto two = folder.write("two.yaml", "supervised: {steps: 3}\n");
  const Config config = load_config(folder / "main.yaml", {}, {one, two});
  CHECK(config.supervised.steps == 3);
  CHECK(config.supervised.margin == 0.5);
  CHECK(config.grpo.steps == 2);
  CHECK(load_config(folder / "main.yaml", {}, {two, one}).supervised.steps == 2);
  CHECK(load_config(folder / "main.yaml", {"supervised.steps=9"}, {one, two}).supervised.steps == 9);
  // A part may be based on the same config that it is put on.
  const auto based = folder.write("based.yaml", "base: main.yaml\ngrpo: {steps: 7}\n");
  CHECK(load_config(folder / "main.yaml", {}, {based}).grpo.steps == 7);
}

TEST_CASE("config: keys that an older written config lacks have the value of that time") {
  const TemporaryFolder folder;
  const auto file = folder.write("config.yaml", kMinimalConfig);
  CHECK(load_config(file).supervised.states == TrainingStates::kOwn);
  CHECK(load_written_config(file).supervised.states == TrainingStates::kGolden);
  CHECK(load_written_config(file).grpo.advantage == AdvantageScale::kStep);
  Config config = load_config(file);
  config.grpo.advantage = AdvantageScale::kTrace;
  folder.write("config.yaml", to_yaml(config));
  CHECK(config_differences(load_written_config(file), config).empty());
}

TEST_CASE("config: faults name the file that they stand in") {
  const TemporaryFolder folder;
  folder.write("first.yaml", std::string(kMinimalConfig) + "grpo:\n  stepz: 1\n");
  folder.write("main.yaml", "base: first.yaml\nsupervised:\n  steps: none\n");
  const auto part = folder.write("part.yaml", "evaluation:\n  max_traces: -1\n");
  const std::string message = fault_of(folder, {part});
  CHECK_THAT(message, Contains("first.yaml:6: grpo.stepz is not a known key"));
  CHECK_THAT(message, Contains("main.yaml:3: supervised.steps: "));
  CHECK_THAT(message, Contains("part.yaml:2: evaluation.max_traces: "));
  folder.write("first.yaml", "grpo: {steps: 1}\n");
  folder.write("main.yaml", "base: first.yaml\noutput: runs/one\nmodel: {path: m}\n");
  CHECK_THAT(fault_of(folder), Contains("main.yaml:1: data.train is missing"));
}

TEST_CASE("config: a base that is missing, no path, endless or the file itself is refused") {
  const TemporaryFolder folder;
  const auto fault_with_base = [&](const std::string& base) {
    folder.write("main.yaml", std::string(kMinimalConfig) + "base: " + base + "\n");
    return fault_of(folder);
  };
  CHECK_THAT(fault_with_base("nothing.yaml"),
             Contains("main.yaml:5: base: cannot read ") && Contains("nothing.yaml: no such file"));
  CHECK_THAT(fault_with_base("/dev/zero"), Contains("no such file"));
  CHECK_THAT(fault_with_base("[a.yaml]"), Contains("expected the path of another config"));
  CHECK_THAT(fault_with_base("\"\""), Contains("expected the path of another config"));
  CHECK_THAT(fault_with_base("${FORESIGHT_NOT_SET}/a.yaml"), Contains("FORESIGHT_NOT_SET"));
  CHECK_THAT(fault_with_base("./main.yaml"), Contains("main.yaml leads back to itself"));
  folder.write("other.yaml", "base: main.yaml\n");
  CHECK_THAT(fault_with_base("other.yaml"),
             Contains("other.yaml:1: base: ") && Contains("leads back to itself"));
  CHECK_THAT(fault_with_base("other.yaml\nbase: other.yaml"), Contains("base is set twice"));
  for (int i = 0; i < 12; ++i) {
    folder.write(concat("chain", i, ".yaml"), concat("base: chain", i + 1, ".yaml\n"));
  }
  CHECK_THAT(fault_with_base("chain0.yaml"), Contains("more than 8 files in a chain"));
  CHECK_THAT(fault_of(folder, {folder / "no_part.yaml"}), Contains("no_part.yaml"));
}

TEST_CASE("config: paths of bases expand the environment") {
  const TemporaryFolder folder;
  folder.write("first.yaml", kMinimalConfig);
  folder.write("main.yaml", "base: ${FORESIGHT_TEST_BASE}/first.yaml\n");
  ::setenv("FORESIGHT_TEST_BASE", folder.path().c_str(), 1);
  CHECK(load_config(folder / "main.yaml").output == "runs/one");
  ::unsetenv("FORESIGHT_TEST_BASE");
}

TEST_CASE(
    "config: the config to start from loads, has every key, and differs from the defaults in examples "
    "alone") {
  const TemporaryFolder folder;
  const std::string text = starting_yaml("first");
  const Config config = load_config(folder.write("first.yaml", text));
  CHECK(config.output == "runs/first");
  Config expected;
  expected.output = config.output;
  expected.model = config.model;
  expected.data.train = config.data.train;
  expected.data.evaluation = config.data.evaluation;
  expected.data.trace_tokens = 768;  // the length of the traces of the example files
  expected.data.max_train_traces = 12;
  expected.data.validation_traces = 2;
  CHECK(config_differences(expected, config).empty());
  std::set<std::string> names;
  for (const std::string& key : config_keys()) {
    const std::string name = key.substr(key.find('.') + 1);
    names.insert(name);
    CHECK_THAT(text, Contains(name + ": "));
  }
  // Each key in its comment is valid there.
  std::string all = text;
  for (std::size_t at = all.find("\n  # "); at != std::string::npos; at = all.find("\n  # ", at + 1)) {
    const std::string line = all.substr(at + 5, all.find('\n', at + 1) - at - 5);
    const bool is_key = names.contains(line.substr(0, line.find(": ")));
    if (is_key) all.erase(at + 3, 2);
  }
  CHECK(to_yaml(load_config(folder.write("all.yaml", all))) == to_yaml(config));
}

}  // namespace
}  // namespace foresight
