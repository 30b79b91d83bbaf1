#include <algorithm>
#include <set>

#include "tests/catch.h"
#include "tests/config/config_files.h"
#include "trainer/config/declare.h"
#include "trainer/config/names.h"
#include "trainer/config/rules.h"
#include "trainer/config/values.h"
#include "trainer/config/yaml_tree.h"

namespace foresight {
namespace {

using Catch::Contains;
using Strings = std::vector<std::string>;

YamlNode scalar(const std::string& text) {
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = text;
  return node;
}

TEST_CASE("declarations: names are unique and every key has a help text") {
  const Strings keys = config_keys();
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == keys.size());
  for (const Section& section : config_sections()) {
    CHECK_FALSE(section.help.empty());
    for (const Key& key : section.keys) {
      INFO(key.dotted());
      CHECK_FALSE(key.help.empty());
      CHECK(find_key(key.dotted()) == &key);
    }
  }
  CHECK(find_key("supervised.nothing") == nullptr);
  CHECK(find_key("") == nullptr);
}

TEST_CASE("declarations: every default passes its own type, bounds and choices") {
  const Config defaults;
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) {
      INFO(key.dotted());
      if (key.required) continue;
      const auto parsed = parse_yaml(value_text(key.get(defaults)));
      REQUIRE(std::holds_alternative<YamlNode>(parsed));
      const ParsedValue value = parse_value(key, std::get<YamlNode>(parsed));
      CHECK(value.fault.empty());
      REQUIRE(value.value.has_value());
      CHECK(*value.value == key.get(defaults));
    }
  }
}

TEST_CASE("declarations: every number is bounded on both sides") {
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) {
      INFO(key.dotted());
      if (!std::holds_alternative<IntegerType>(key.type) && !std::holds_alternative<NumberType>(key.type))
        continue;
      CHECK_THAT(parse_value(key, scalar("-99999999999999999999")).fault, Contains("out of range"));
      CHECK_THAT(parse_value(key, scalar("99999999999999999999")).fault, Contains("out of range"));
    }
  }
}

TEST_CASE("declarations: the default config breaks no rule, and rules name known keys") {
  for (const Rule& rule : config_rules()) {
    CHECK(rule.check(Config{}).empty());
    for (const std::string& key : rule.keys) CHECK(find_key(key) != nullptr);
  }
}

// Written by hand from the meaning of the keys; there is no other list.
TEST_CASE("declarations: only keys that change nothing that a stage learns may change on resume") {
  const Strings anywhere = {"output",
                            "model.template_date",
                            "runtime.threads",
                            "runtime.deterministic",
                            "runtime.silence_limit_s",
                            "runtime.tensorboard",
                            "data.evaluation",
                            "oracle.compression",
                            "runtime.compare_ranks_every"};
  const Strings by_content = {"model.path", "data.train", "scorer.initial", "grpo.start"};
  const std::set<std::string> later = {"traces", "evaluation", "generation"};
  const Strings of_training = {"save_every", "evaluate_every", "keep_last",        "keep_best",
                               "resume",     "keep_features",  "rollouts_per_pass"};
  for (const Stage training : kTrainingStages) {
    const std::string other = training == Stage::kGrpo ? "supervised" : "grpo";
    for (const Section& section : config_sections()) {
      for (const Key& key : section.keys) {
        INFO(to_string(training) << ": " << key.dotted());
        const bool free =
            section.name == other || later.contains(section.name) ||
            std::ranges::count(anywhere, key.dotted()) > 0 ||
            (section.name == to_string(training) && std::ranges::count(of_training, key.name) > 0);
        CHECK(may_change_on_resume(key, training, /*content_compared=*/false) == free);
        CHECK(may_change_on_resume(key, training, /*content_compared=*/true) ==
              (free || std::ranges::count(by_content, key.dotted()) > 0));
      }
    }
  }
}

TEST_CASE("configuration_markdown: says which keys may change on resume, whole sections by their names") {
  const std::string text = configuration_markdown();
  CHECK_THAT(text, Contains("instead:\n  `model.path`, `data.train`, `scorer.initial`, `grpo.start`;"));
  CHECK_THAT(text, Contains("learned:\n  `output`, `model.template_date`, `data.evaluation`, `traces.*`, "
                            "`oracle.compression`,") &&
                       Contains("`supervised.save_every`, `supervised.evaluate_every`") &&
                       Contains("`grpo.rollouts_per_pass`") && Contains("`evaluation.*`, `generation.*`"));
}

TEST_CASE("config_keys: dotted names, with the checkpoint keys flat in both stages") {
  const Strings keys = config_keys();
  for (const char* key : {"output", "model.path", "supervised.save_every", "supervised.resume",
                          "grpo.evaluate_every", "grpo.keep_last", "grpo.keep_best", "runtime.seed"}) {
    INFO(key);
    CHECK(std::ranges::count(keys, key) == 1);
  }
  CHECK(keys.front() == "output");
}

template <class Enum>
void check_names(const Strings& words) {
  CHECK(enum_choices<Enum>() == words);
  for (const std::string& word : words) CHECK(to_string(enum_from_string<Enum>(word)) == word);
  CHECK_THROWS_AS(enum_from_string<Enum>("nonsense"), Error);
}

TEST_CASE("names: every enum value has its word, and back") {
  check_names<ScorerFeatures>({"normalized", "extended", "relative", "serving", "released"});
  check_names<Credit>({"step", "trace"});
  check_names<RewardShape>({"clamped_rise", "squared_large_rise", "mean_rise", "expected_rise"});
  check_names<RewardTokens>({"low_entropy", "all"});
  check_names<Likelihood>({"plackett_luce", "independent"});
  check_names<Schedule>({"cosine", "constant", "linear"});
  check_names<ScoreTokens>({"all", "completion"});
  check_names<Stage>({"traces", "oracle", "supervised", "grpo", "evaluate"});
  CHECK(to_string(Credit::kTrace) == "trace");
  CHECK(to_string(RewardShape::kSquaredLargeRise) == "squared_large_rise");
  CHECK(to_string(ScoreTokens::kCompletion) == "completion");
}

TEST_CASE("names: an unknown word and a value without a word are errors that say so") {
  try {
    enum_from_string<Schedule>("cosin");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    CHECK_THAT(error.what(), Contains("\"cosin\"") && Contains("cosine, constant, linear"));
  }
  try {
    to_string(static_cast<Credit>(99));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInternal);
  }
}

TEST_CASE("names: the nearest name has the least edit distance") {
  CHECK(nearest_name("kitten", {"sitting", "kitchen", "mitten"}) == "mitten");
  CHECK(nearest_name("steps", {"step", "stops"}) == "step");  // both at one: the first
  CHECK(nearest_name("", {"long", "ab"}) == "ab");
  CHECK(nearest_name("word", {}).empty());
}

TEST_CASE("names: scorer files are recognised by their ending") {
  CHECK(is_scorer_path("a/b.safetensors"));
  CHECK_FALSE(is_scorer_path(".safetensors"));
  CHECK_FALSE(is_scorer_path("full"));
  CHECK_FALSE(is_scorer_path("a.safetensors.bak"));
}

TEST_CASE("yaml tree: kinds, lines, quotes and duplicates are kept") {
  const auto parsed = parse_yaml("a: 1\nb:\n  - 'x'\n  - ~\na: {}\nc: |\n  block\n");
  REQUIRE(std::holds_alternative<YamlNode>(parsed));
  const YamlNode& root = std::get<YamlNode>(parsed);
  REQUIRE(root.kind == YamlNode::Kind::kMap);
  REQUIRE(root.keys.size() == 4);
  REQUIRE(root.items.size() == 4);
  CHECK(root.keys[2].text == "a");
  CHECK(root.keys[2].line == 5);
  CHECK(root.items[0].text == "1");
  CHECK_FALSE(root.items[0].quoted);
  REQUIRE(root.items[1].items.size() == 2);
  CHECK(root.items[1].items[0].quoted);
  CHECK(root.items[1].items[0].line == 3);
  CHECK(root.items[1].items[1].kind == YamlNode::Kind::kNothing);
  CHECK(root.items[2].kind == YamlNode::Kind::kMap);
  CHECK(root.items[3].text == "block\n");
  CHECK(root.items[3].quoted);
}

TEST_CASE("configuration_markdown: it has every section and key, with bounds, defaults and rules") {
  const std::string text = configuration_markdown();
  CHECK_THAT(text, Contains("Generated by `foresight config docs`"));
  for (const Section& section : config_sections()) {
    if (!section.name.empty()) CHECK_THAT(text, Contains("\n## `" + section.name + "`\n"));
    for (const Key& key : section.keys) CHECK_THAT(text, Contains("| `" + key.name + "` |"));
  }
  CHECK_THAT(text, Contains("| `output` | text | required |"));
  CHECK_THAT(text, Contains("| `compression` | integer | `0` | 0 .. 9 |"));
  CHECK_THAT(text, Contains("| `credit` | text | `step` | step, trace |"));
  CHECK_THAT(text, Contains("| `pack` | boolean | `true` |"));
  CHECK_THAT(text, Contains("| `evaluate_every` | integer | `100` |") &&
                       Contains("| `evaluate_every` | integer | `10` |"));
  for (const Rule& rule : config_rules()) CHECK_THAT(text, Contains(rule.description));
  // Every table row has the five cells of its header.
  for (std::size_t start = text.find("\n|"); start != std::string::npos;
       start = text.find("\n|", start + 1)) {
    const std::string row = text.substr(start + 1, text.find('\n', start + 1) - start - 1);
    CHECK(std::ranges::count(row, '|') == 6);
  }
}

}  // namespace
}  // namespace foresight
