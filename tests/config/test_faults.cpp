// Every way in which a configuration can be wrong, with the message that names it.
#include <stdlib.h>

#include <filesystem>

#include "tests/catch.h"
#include "tests/config/config_files.h"

namespace foresight {
namespace {

using Catch::Contains;
using Catch::StartsWith;
using Strings = std::vector<std::string>;

// The one fault of the minimal file with `lines` after it (they start in line 5).
std::string fault_with(const std::string& lines) {
  const Strings faults = faults_of(kMinimalConfig + lines);
  REQUIRE(faults.size() == 1);
  return faults[0];
}

// The one fault of the minimal file with an override.
std::string override_fault(const std::string& text) {
  const Strings faults = faults_of(kMinimalConfig, {text});
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0], StartsWith("override " + text + ": "));
  return faults[0].substr(("override " + text + ": ").size());
}

TEST_CASE("faults: an unknown key is reported with its line and the nearest known key") {
  CHECK(fault_with("supervised:\n  stepz: 3\n") ==
        "run.yaml:6: supervised.stepz is not a known key; the nearest is supervised.steps");
  CHECK(fault_with("superviced: {steps: 3}\n") ==
        "run.yaml:5: superviced is not a known key; the nearest is supervised");
  // A key's own name in another section is nearer than any misspelling.
  CHECK(fault_with("steps: 3\n") == "run.yaml:5: steps is not a known key; the nearest is supervised.steps");
  CHECK(fault_with("supervised: {group_size: 3}\n") ==
        "run.yaml:5: supervised.group_size is not a known key; the nearest is grpo.group_size");
  CHECK_THAT(fault_with("grpo.steps: 3\n"), Contains("write steps under grpo:"));
  CHECK_THAT(fault_with("grpo: {checkpoint: {save_every: 3}}\n"),
             Contains("grpo.checkpoint is not a known key"));
}

TEST_CASE("faults: a key or a section that is set twice") {
  CHECK(fault_with("grpo:\n  steps: 3\n  steps: 3\n") ==
        "run.yaml:7: grpo.steps is set twice, first in line 6; remove one");
  CHECK(fault_with("output: again\n") == "run.yaml:5: output is set twice, first in line 1; remove one");
  CHECK(fault_with("model: {path: b}\n") == "run.yaml:5: model is set twice, first in line 2; remove one");
}

TEST_CASE("faults: a missing required key is reported at its section") {
  const Strings faults = faults_of("runtime: {seed: 3}\ndata:\n  pack: true\n");
  REQUIRE(faults.size() == 3);
  CHECK_THAT(faults[0], StartsWith("run.yaml:1: output is missing"));
  CHECK_THAT(faults[1], StartsWith("run.yaml:1: model.path is missing"));
  CHECK_THAT(faults[2], StartsWith("run.yaml:2: data.train is missing"));
  CHECK(faults_of("").size() == 3);
  CHECK(faults_of("# only a comment\n").size() == 3);
}

TEST_CASE("faults: a wrong type says what was expected and what was got") {
  CHECK(fault_with("grpo: {steps: abc}\n") == "run.yaml:5: grpo.steps: expected an integer, got \"abc\"");
  CHECK(fault_with("grpo: {steps: 1.5}\n") == "run.yaml:5: grpo.steps: expected an integer, got \"1.5\"");
  CHECK(fault_with("grpo: {steps: 1e3}\n") == "run.yaml:5: grpo.steps: expected an integer, got \"1e3\"");
  CHECK(fault_with("grpo: {steps: '3'}\n") ==
        "run.yaml:5: grpo.steps: expected an integer, got the quoted text \"3\"");
  CHECK(fault_with("grpo: {steps: }\n") == "run.yaml:5: grpo.steps: expected an integer, got nothing");
  CHECK(fault_with("grpo: {steps: [3]}\n") == "run.yaml:5: grpo.steps: expected an integer, got a list");
  CHECK(fault_with("grpo: {steps: {a: 1}}\n") ==
        "run.yaml:5: grpo.steps: expected an integer, got a section of keys");
  CHECK(fault_with("grpo: {steps: 12abc}\n") == "run.yaml:5: grpo.steps: expected an integer, got \"12abc\"");
  CHECK(fault_with("grpo: {kl_weight: much}\n") ==
        "run.yaml:5: grpo.kl_weight: expected a number, got \"much\"");
  CHECK(fault_with("grpo: {kl_weight: 0x10}\n") ==
        "run.yaml:5: grpo.kl_weight: expected a number, got \"0x10\"");
  CHECK(fault_with("grpo: {kl_weight: +-1}\n") ==
        "run.yaml:5: grpo.kl_weight: expected a number, got \"+-1\"");
  CHECK(fault_with("supervised: {keep_features: yes}\n") ==
        "run.yaml:5: supervised.keep_features: expected true or false, got \"yes\"");
  CHECK(fault_with("supervised: {keep_features: 'true'}\n") ==
        "run.yaml:5: supervised.keep_features: expected true or false, got the quoted text \"true\"");
  CHECK(fault_with("traces: {file: [x]}\n") == "run.yaml:5: traces.file: expected text, got a list");
  CHECK(fault_with("traces: {file: ''}\n") == "run.yaml:5: traces.file: expected text, got an empty one");
  CHECK(fault_with("scorer: {initial: }\n") ==
        "run.yaml:5: scorer.initial: expected text, got nothing; write '' for no value");
  CHECK_THAT(fault_with("traces: {file: \"a\\0b\"}\n"), Contains("NUL character"));
}

TEST_CASE("faults: a section that is not a map, and a file that is not one") {
  CHECK(fault_with("grpo: 3\n") == "run.yaml:5: grpo: expected a section of keys, got a value or a list");
  CHECK(fault_with("grpo: [steps]\n") ==
        "run.yaml:5: grpo: expected a section of keys, got a value or a list");
  CHECK(fault_with("? [a]\n: b\n") == "run.yaml:5: expected the name of a key, got something else");
  CHECK(faults_of("- a\n- b\n") ==
        Strings{"run.yaml:1: expected sections of keys (name: value), got something else"});
  CHECK(faults_of("word\n").size() == 1);
}

TEST_CASE("faults: a list of integers takes nothing else, and each must be in range") {
  CHECK(fault_with("evaluation: {budgets: 128}\n") ==
        "run.yaml:5: evaluation.budgets: expected a list, got \"128\"; write it in brackets: [128]");
  CHECK(fault_with("evaluation: {budgets: {a: 1}}\n") ==
        "run.yaml:5: evaluation.budgets: expected a list of integers, got a section of keys");
  CHECK(fault_with("evaluation: {budgets: [128, many]}\n") ==
        "run.yaml:5: evaluation.budgets: item 2: expected an integer, got \"many\"");
  CHECK_THAT(fault_with("evaluation: {budgets: [0]}\n"), Contains("item 1: 0 is out of range"));
  CHECK_THAT(fault_with("evaluation: {budgets: [100]}\n"),
             Contains("100 is not a multiple of eviction.window"));
  CHECK_THAT(fault_with("evaluation: {budgets: [128, 128]}\n"), Contains("128 is listed more than once"));
}

TEST_CASE("faults: a file of rows that is listed twice is named") {
  const std::string twice = "output: r\nmodel: {path: m}\ndata: {train: [a.jsonl, b.jsonl, a.jsonl]}\n";
  const Strings faults = faults_of(twice);
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0], Contains("data.train: a.jsonl is listed more than once"));
  CHECK_THAT(fault_with("  evaluation: [c.jsonl, c.jsonl]\n"),
             Contains("data.evaluation: c.jsonl is listed more than once"));
}

TEST_CASE("faults: a list of texts takes nothing else") {
  CHECK(fault_with("traces: {prompts: a.jsonl}\n") ==
        "run.yaml:5: traces.prompts: expected a list, got \"a.jsonl\"; write it in brackets: [a.jsonl]");
  CHECK(fault_with("traces: {prompts: {a: b}}\n") ==
        "run.yaml:5: traces.prompts: expected a list of texts, got a section of keys");
  CHECK(fault_with("traces: {prompts: [a, [b]]}\n") ==
        "run.yaml:5: traces.prompts: item 2: expected text, got a list");
  CHECK(fault_with("traces: {prompts: [a, '']}\n") ==
        "run.yaml:5: traces.prompts: item 2: expected text, got an empty one");
  CHECK(fault_with("evaluation: {policies: []}\n") ==
        "run.yaml:5: evaluation.policies: expected at least one item, got an empty list");
  CHECK(override_fault("data.train=[]") == "data.train: expected at least one item, got an empty list");
}

TEST_CASE("faults: out of range says the bounds") {
  CHECK(fault_with("supervised: {steps: 0}\n") ==
        "run.yaml:5: supervised.steps: 0 is out of range; expected 1 .. 1000000000");
  CHECK(fault_with("oracle: {compression: 10}\n") ==
        "run.yaml:5: oracle.compression: 10 is out of range; expected 0 .. 9");
  CHECK(fault_with("runtime: {seed: 9223372036854775808}\n") ==
        "run.yaml:5: runtime.seed: 9223372036854775808 is out of range; expected 0 .. 2^63 - 1");
  CHECK(fault_with("traces: {top_p: 0}\n") ==
        "run.yaml:5: traces.top_p: 0 is out of range; expected above 0, at most 1");
  CHECK(fault_with("grpo: {credit_discount: 1.01}\n") ==
        "run.yaml:5: grpo.credit_discount: 1.01 is out of range; expected 0 .. 1");
  for (const char* number : {"nan", "inf", "-inf", "1e999", "-1"}) {
    CHECK_THAT(fault_with(std::string("grpo: {kl_weight: ") + number + "}\n"), Contains("is out of range"));
  }
  CHECK_THAT(override_fault("grpo.group_size=1"), Contains("expected 2 .. "));
  CHECK_THAT(override_fault("grpo.shortlist_windows=1"), Contains("expected 2 .. "));
  CHECK_THAT(override_fault("supervised.keep_last=0"), Contains("expected 1 .. "));
  CHECK_THAT(override_fault("grpo.keep_last=0"), Contains("expected 1 .. "));
}

TEST_CASE("faults: a word that is no choice is reported with the choices and the nearest") {
  CHECK(fault_with("grpo: {credit: steps}\n") ==
        "run.yaml:5: grpo.credit: expected one of step, trace, got \"steps\"; the nearest is step");
  CHECK_THAT(fault_with("runtime: {device: cuba}\n"),
             Contains("auto, cpu, cuda") && Contains("nearest is cuda"));
}

TEST_CASE("faults: text that is no YAML is reported with its line") {
  CHECK_THAT(fault_with("grpo: [unclosed\n"), StartsWith("run.yaml:"));
  CHECK_THAT(fault_with("grpo:\n\tsteps: 3\n"), StartsWith("run.yaml:6: not valid YAML"));
  CHECK_THAT(fault_with("grpo: steps: 3\n"), StartsWith("run.yaml:5: not valid YAML"));
}

TEST_CASE("faults: a quote that is never closed is reported where it opens, and swallows no keys") {
  for (const char* start : {"\"abc", "'abc", "'it''s", "\"a\\\"", "\"\xc3\xa9"}) {
    for (const char* rest : {"", "\n", "\ngrpo:\n  steps: 3\n", "\n# comment\n"}) {
      const std::string text =
          std::string("scorer:\n  features: released # \xc3\xa9 \"\n  initial: ") + start + rest;
      CHECK_THAT(fault_with(text), Contains("not valid YAML"));
    }
  }
  CHECK_THAT(fault_with("scorer:\n  initial: \"abc\ngrpo:\n  steps: 3\n"), StartsWith("run.yaml:6: "));
  CHECK(load_text(kMinimalConfig, {"scorer.initial='it''s \"'"}).scorer.initial == "it's \"");
  CHECK(load_text(kMinimalConfig, {"scorer.initial=\"a\\\"b\\\\\""}).scorer.initial == "a\"b\\");
}

TEST_CASE("faults: a tab in the indentation is named with its own line") {
  CHECK_THAT(fault_with("grpo:\n\tsteps: 3\n"),
             StartsWith("run.yaml:6: not valid YAML: the line is indented by a tab"));
  CHECK_THAT(fault_with("grpo:\n  steps: 3\n\tgroup_size: 4\nruntime: {seed: 1}\n"),
             StartsWith("run.yaml:7: not valid YAML: the line is indented by a tab"));
  CHECK_THAT(fault_with("grpo:\n  steps: 3\n  \tgroup_size: 4\n"), StartsWith("run.yaml:7: "));
  CHECK_THAT(fault_with("traces:\n  prompts:\n\t- a\n"), StartsWith("run.yaml:7: "));
  CHECK_THAT(fault_with("grpo:\n  steps: 3\n\t\nruntime: {seed: 1}\n"),
             StartsWith("run.yaml:7: not valid YAML: the line"));
  CHECK(faults_of(std::string(kMinimalConfig) + "grpo:\n\t# a comment\n  steps: 3\n").empty());
}

TEST_CASE("faults: anchors, aliases, tags and second documents are refused") {
  CHECK_THAT(fault_with("grpo: &name {steps: 3}\n"), StartsWith("run.yaml:5: YAML anchors"));
  CHECK_THAT(fault_with("grpo:\n  steps: &n 3\n"), StartsWith("run.yaml:6: YAML anchors"));
  CHECK_THAT(fault_with("traces:\n  prompts: &n [a]\n"), StartsWith("run.yaml:6: YAML anchors"));
  CHECK_THAT(fault_with("grpo: *name\n"), StartsWith("run.yaml:5: "));
  CHECK_THAT(fault_with("grpo: {steps: !!int 3}\n"), StartsWith("run.yaml:5: YAML tags"));
  CHECK_THAT(fault_with("grpo: !thing {steps: 3}\n"), StartsWith("run.yaml:5: YAML tags"));
  CHECK_THAT(fault_with("---\noutput: b\n"), StartsWith("run.yaml:") && Contains("second one"));
  const std::string bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
  CHECK_THAT(faults_of(bomb).at(0), StartsWith("run.yaml:1: YAML anchors"));
}

TEST_CASE("faults: every kind of alias bomb is refused at its first anchor or alias") {
  std::string bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name <= 'i'; ++name) {
    const std::string before(1, static_cast<char>(name - 1));
    bomb += std::string(1, name) + ": &" + name + " [";
    for (int i = 0; i < 9; ++i) bomb += "*" + before + (i < 8 ? ", " : "]\n");
  }
  CHECK_THAT(faults_of(bomb).at(0), StartsWith("run.yaml:1: YAML anchors"));
  CHECK_THAT(fault_with("grpo: {<<: *a}\n"), StartsWith("run.yaml:5: "));
  CHECK_THAT(fault_with("grpo: &a {steps: *a}\n"), StartsWith("run.yaml:5: YAML anchors"));
  CHECK_THAT(override_fault("evaluation.policies=[&a full, *a]"), Contains("YAML anchors"));
}

TEST_CASE("faults: deep nesting and huge files are refused, quickly and without a crash") {
  CHECK_THAT(fault_with("grpo: " + std::string(500000, '[') + "\n"), Contains("at most 8 levels"));
  CHECK_THAT(fault_with("grpo: " + std::string(500000, '{') + "\n"), Contains("at most 8 levels"));
  std::string dashes, questions;
  for (int i = 0; i < 200000; ++i) dashes += "- ", questions += "? ";
  CHECK_THAT(faults_of(dashes + "x\n").at(0), Contains("at most 8 levels"));
  CHECK_THAT(faults_of(questions + "x\n").at(0), Contains("at most 8 levels"));
  CHECK_THAT(faults_of(kMinimalConfig + std::string(1 << 20, '#')).at(0), Contains("at most 1 MiB"));
  const std::string padding(static_cast<std::size_t>(1 << 20) - std::string(kMinimalConfig).size(), '#');
  CHECK(faults_of(kMinimalConfig + padding).empty());
}

TEST_CASE("faults: names and values are shown on one line, cut where they are long") {
  CHECK(fault_with("\"gr\\npo\\e[2J\": 3\n") ==
        "run.yaml:5: gr\\npo\\x1b[2J is not a known key; the nearest is grpo");
  CHECK_THAT(fault_with("grpo: {\"a\\nb\": 3}\n"), StartsWith("run.yaml:5: grpo.a\\nb is not a known key"));
  CHECK_THAT(fault_with("evaluation: {policies: \"a\\nb\"}\n"), Contains("write it in brackets: [a\\nb]"));
  CHECK_THAT(fault_with("evaluation: {policies: [\"a\\nb\"]}\n"), Contains("\"a\\nb\" is not a policy"));
  CHECK_THAT(fault_with("grpo: {steps: !a%0Ab 3}\n"), Contains("YAML tags are not accepted"));
  CHECK(fault_with(std::string(100'000, 'k') + ": 3\n").size() < 300);
  CHECK(fault_with("grpo: {steps: " + std::string(100'000, '9') + "}\n").size() < 300);
}

TEST_CASE("faults: a file that cannot be read is a config error naming it") {
  const TemporaryFolder folder;
  for (const std::filesystem::path& path : {folder / "absent.yaml", folder.path()}) {
    try {
      load_config(path);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kConfig);
      CHECK_THAT(error.what(), Contains(path.string()));
    }
  }
}

TEST_CASE("faults: a malformed or unknown override names itself") {
  CHECK(override_fault("supervised.steps") == "expected section.key=value");
  CHECK(override_fault("=3") == "expected section.key=value");
  CHECK(override_fault("") == "expected section.key=value");
  CHECK(override_fault("supervised.stepz=3") ==
        "supervised.stepz is not a known key; the nearest is supervised.steps");
  CHECK(override_fault("superviced.steps=3") ==
        "superviced.steps is not a known key; the nearest is supervised.steps");
  CHECK(override_fault("steps=3") == "steps is not a known key; the nearest is supervised.steps");
  CHECK(override_fault("supervised={steps: 3}") ==
        "supervised is a section; expected a key in it, for example supervised.steps");
  CHECK(override_fault("supervised.steps=abc") == "supervised.steps: expected an integer, got \"abc\"");
  CHECK(override_fault("supervised.steps=") == "supervised.steps: expected an integer, got nothing");
  CHECK_THAT(override_fault("data.train=[a"), StartsWith("not valid YAML: "));
  CHECK_THAT(override_fault("data.train=&x [a]"), Contains("YAML anchors"));
}

TEST_CASE("faults: an unset environment variable is reported with the key's line") {
  ::unsetenv("FORESIGHT_TEST_UNSET");
  CHECK_THAT(
      fault_with("traces:\n  prompts: ['${FORESIGHT_TEST_UNSET}/p']\n"),
      StartsWith("run.yaml:6: traces.prompts: item 1: ") && Contains("FORESIGHT_TEST_UNSET is not set"));
  CHECK_THAT(override_fault("model.path=${FORESIGHT_TEST_UNSET}"),
             Contains("FORESIGHT_TEST_UNSET is not set"));
}

TEST_CASE("faults: all of them come in one error, each on a line of its own") {
  const Strings faults = faults_of(
      "output: o\n"
      "colour: red\n"
      "data:\n"
      "  train: a.jsonl\n"
      "supervised:\n"
      "  steps: -1\n"
      "  margin: wide\n"
      "eviction: {budget: 100, window: 64}\n"
      "grpo:\n"
      "  reward_clamp_low_nats: 9\n",
      {"runtime.device=gpu", "nothing"});
  REQUIRE(faults.size() == 9);
  CHECK_THAT(faults[0], StartsWith("run.yaml:2: colour is not a known key"));
  CHECK_THAT(faults[1], StartsWith("run.yaml:4: data.train: expected a list"));
  CHECK_THAT(faults[2], StartsWith("run.yaml:6: supervised.steps: -1 is out of range"));
  CHECK_THAT(faults[3], StartsWith("run.yaml:7: supervised.margin: expected a number"));
  CHECK_THAT(faults[4], StartsWith("override runtime.device=gpu: runtime.device: expected one of"));
  CHECK_THAT(faults[5], StartsWith("override nothing: "));
  CHECK_THAT(faults[6], StartsWith("run.yaml:1: model.path is missing"));
  CHECK_THAT(faults[7], StartsWith("run.yaml:8: eviction.budget is 100"));
  CHECK_THAT(faults[8], StartsWith("run.yaml:10: grpo.reward_clamp_low_nats is 9"));
}

TEST_CASE("rules: the budget is a multiple of the window and at least one window") {
  CHECK_THAT(fault_with("eviction:\n  window: 64\n  budget: 100\n"),
             StartsWith("run.yaml:7: eviction.budget is 100 and eviction.window 64: expected a multiple") &&
                 Contains("recorded blocks") && Contains("64 and 128"));
  CHECK_THAT(fault_with("eviction: {window: 64, budget: 32}\n"), Contains("at least one window"));
  // A broken default is shown at the key that the user did set.
  CHECK_THAT(fault_with("runtime: {seed: 2}\neviction:\n  window: 60\n"),
             StartsWith("run.yaml:7: eviction.budget is 256"));
}

TEST_CASE("rules: a recorded block divides the window") {
  CHECK_THAT(fault_with("oracle: {block_tokens: 48}\n"),
             StartsWith("run.yaml:5: oracle.block_tokens is 48 and eviction.window 64"));
  CHECK_THAT(override_fault("oracle.block_tokens=128"), Contains("divides the window"));
  CHECK(faults_of(kMinimalConfig, {"oracle.block_tokens=16"}).empty());
}

TEST_CASE("rules: RL with a budget of one window is refused, supervised training is not") {
  CHECK_THAT(override_fault("eviction.budget=64"), Contains("RL with B = W is refused"));
  CHECK(faults_of(kMinimalConfig, {"eviction.budget=64", "grpo.steps=0"}).empty());
  CHECK(faults_of(kMinimalConfig, {"eviction.budget=128"}).empty());
}

TEST_CASE("rules: a packed trace is long enough for one eviction") {
  CHECK_THAT(override_fault("data.trace_tokens=320"), Contains("expected at least 321"));
  CHECK(faults_of(kMinimalConfig, {"data.trace_tokens=321"}).empty());
  CHECK(faults_of(kMinimalConfig, {"data.trace_tokens=320", "data.pack=false"}).empty());
}

TEST_CASE("rules: the reward clamp has a lower end below its upper end") {
  CHECK_THAT(override_fault("grpo.reward_clamp_low_nats=4"), Contains("expected less than"));
  CHECK_THAT(override_fault("grpo.reward_clamp_high_nats=-1"), Contains("expected less than"));
}

TEST_CASE("rules: planted facts need a distance") {
  const Strings faults =
      faults_of(kMinimalConfig, {"evaluation.recall_facts=2", "evaluation.recall_evictions=[]"});
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0],
             Contains("evaluation.recall_evictions is empty") && Contains("expected at least one distance"));
  CHECK(faults_of(kMinimalConfig, {"evaluation.recall_evictions=[]"}).empty());
  CHECK(faults_of(kMinimalConfig, {"evaluation.recall_facts=2"}).empty());
  CHECK_THAT(override_fault("evaluation.recall_evictions=[3, 0]"), Contains("evaluation.recall_evictions"));
}

TEST_CASE("rules: evaluation policies are known, or scorer files, each once") {
  CHECK_THAT(override_fault("evaluation.policies=[full, snapvk]"),
             Contains("\"snapvk\" is not a policy") && Contains("nearest is snapkv"));
  CHECK_THAT(override_fault("evaluation.policies=[.safetensors]"), Contains("is not a policy"));
  CHECK_THAT(override_fault("evaluation.policies=[rkv, full, rkv]"),
             Contains("\"rkv\" is listed more than once"));
  CHECK(faults_of(kMinimalConfig, {"evaluation.policies=[full, nope, full, nada]"}).size() == 3);
  CHECK(faults_of(kMinimalConfig,
                  {"evaluation.policies=[full, golden, supervised, grpo, random, streaming_llm, h2o, "
                   "snapkv, tova, keydiff, rkv, a/b.safetensors]"})
            .empty());
}

TEST_CASE("rules: generation takes any policy but golden") {
  CHECK_THAT(override_fault("generation.policy=golden"), Contains("needs the future"));
  CHECK_THAT(override_fault("generation.policy=gpro"), Contains("nearest is grpo"));
  CHECK(faults_of(kMinimalConfig, {"generation.policy=x.safetensors"}).empty());
}

TEST_CASE("rules: a rule is not checked against a default that stands in for a faulty value") {
  const Strings faults = faults_of(kMinimalConfig, {"eviction.window=abc", "eviction.budget=100"});
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0], Contains("expected an integer"));
}

TEST_CASE("faults: budgets to train at that do not fit the window, or lack the evaluated one") {
  const std::string eviction = "eviction: {budget: 128, window: 32}\n";
  CHECK_THAT(
      fault_with(eviction + "supervised: {budgets: [128, 144]}\n"),
      Contains("supervised.budgets: 144 does not fit eviction.window 32; expected a multiple of it, at "
               "least 64"));
  CHECK_THAT(fault_with(eviction + "grpo: {budgets: [32, 128]}\n"),
             Contains("grpo.budgets: 32 does not fit eviction.window 32"));
  CHECK_THAT(fault_with("eviction: {budget: 128, window: 32, protect_sinks: 40}\n" +
                        std::string("supervised: {budgets: [64, 128]}\n")),
             Contains("supervised.budgets: 64 does not fit eviction.window 32; expected a multiple of it, at "
                      "least 72"));
  CHECK_THAT(fault_with(eviction + "supervised: {budgets: [64, 256]}\n"),
             Contains("supervised.budgets lacks eviction.budget, which is 128"));
  CHECK(faults_of(kMinimalConfig + eviction + "supervised: {budgets: [64, 128]}\n").empty());
  CHECK_THAT(
      fault_with(eviction + "grpo: {budgets: [128, 992]}\n"),
      Contains("grpo.budgets: 992 and eviction.window 32 leave traces of data.trace_tokens 1024 without "
               "an eviction; expected at most 991"));
  CHECK(faults_of(kMinimalConfig + eviction + "grpo: {budgets: [128, 960]}\n").empty());
}

}  // namespace
}  // namespace foresight
