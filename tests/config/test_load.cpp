#include <stdlib.h>

#include "tests/catch.h"
#include "tests/config/config_files.h"
#include "tests/config/every_key.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("load: a minimal file gives the defaults of the structs") {
  Config expected;
  expected.output = "runs/one";
  expected.model.path = "models/small";
  expected.data.train = {"train.jsonl"};
  CHECK(config_differences(expected, load_text(kMinimalConfig)).empty());
  // Empty sections are like missing ones.
  CHECK(config_differences(expected, load_text(std::string(kMinimalConfig) + "grpo:\noracle: {}\n")).empty());
}

TEST_CASE("load: every key reaches its own member (paths, traces, cache)") {
  const Config config = load_text(kEverything);
  CHECK(config.output == "out");
  CHECK(config.model.template_date == "2026-11-28");
  CHECK(config.model.path == "m");
  CHECK(config.data.train == Strings{"a.jsonl", "b c.jsonl"});
  CHECK(config.data.evaluation == Strings{"e.jsonl"});
  CHECK(config.data.pack == false);
  CHECK(config.data.trace_tokens == 2048);
  CHECK(config.data.max_train_traces == 25);
  CHECK(config.data.validation_traces == 5);
  CHECK(config.traces.prompts == Strings{"p.jsonl"});
  CHECK(config.traces.file == "t.jsonl");
  CHECK(config.traces.max_new_tokens == 100);
  CHECK(config.traces.samples_per_prompt == 2);
  CHECK(config.traces.batch == 9);
  CHECK(config.traces.temperature == 0.7);
  CHECK(config.traces.top_p == 0.9);
  CHECK(config.traces.top_k == 0);
  CHECK(config.eviction.budget == 128);
  CHECK(config.eviction.window == 32);
  CHECK(config.oracle.block_tokens == 16);
  CHECK(config.oracle.compression == 4);
  CHECK(config.scorer.features == ScorerFeatures::kReleased);
  CHECK(config.scorer.initial == "s.safetensors");
}

TEST_CASE("load: every key reaches its own member (supervised, evaluation, generation, runtime)") {
  const Config config = load_text(kEverything);
  const SupervisedConfig& supervised = config.supervised;
  CHECK(supervised.steps == 1001);
  CHECK(supervised.states == TrainingStates::kGolden);
  CHECK(supervised.rounds == 4);
  CHECK(supervised.own_learning_rate == 4e-3);
  CHECK(supervised.learning_rate == 3e-3);
  CHECK(supervised.warmup_steps == 11);
  CHECK(supervised.gradient_clip == 0);
  CHECK(supervised.budgets == std::vector<std::int64_t>{64, 128});
  CHECK(supervised.margin == 0.02);
  CHECK(supervised.pair_weight == PairWeight::kUniform);
  CHECK(supervised.traces_per_step == 5);
  CHECK(supervised.evictions_per_trace == 0);
  CHECK(supervised.features == FeatureSource::kStream);
  CHECK(supervised.features_gib == 0.5);
  CHECK(supervised.keep_features == true);
  CHECK(supervised.checkpoint.save_every == 101);
  CHECK(supervised.checkpoint.evaluate_every == 102);
  CHECK(supervised.checkpoint.keep_last == 3);
  CHECK(supervised.checkpoint.keep_best == 4);
  CHECK(supervised.checkpoint.resume == "never");
  CHECK(config.evaluation.policies == Strings{"h2o", "snapkv", "tova", "keydiff", "x/y.safetensors"});
  CHECK(config.evaluation.max_traces == 9);
  CHECK(config.evaluation.score == ScoreTokens::kCompletion);
  CHECK(config.evaluation.rows_per_pass == 17);
  CHECK(config.evaluation.budgets == std::vector<std::int64_t>{128, 192});
  CHECK_FALSE(config.evaluation.detail);
  CHECK(config.evaluation.random_seeds == 5);
  CHECK(config.evaluation.cost_contexts == std::vector<std::int64_t>{512});
  CHECK(config.evaluation.cost_batch == 3);
  CHECK(config.evaluation.tasks == Strings{"t.jsonl"});
  CHECK(config.evaluation.task_problems == 3);
  CHECK(config.evaluation.task_samples == 2);
  CHECK(config.evaluation.task_instruction == "Think.");
  CHECK(config.evaluation.passkey_tokens == 900);
  CHECK(config.evaluation.passkey_keys == 6);
  CHECK(config.evaluation.continued_prompts == 7);
  CHECK(config.evaluation.recall_facts == 5);
  CHECK(config.evaluation.recall_evictions == std::vector<std::int64_t>{2, 9});
  CHECK(config.generation.policy == "supervised");
  CHECK(config.generation.max_new_tokens == 513);
  CHECK(config.generation.temperature == 0);
  CHECK(config.generation.top_p == 1);
  CHECK(config.generation.top_k == 21);
  CHECK(config.runtime.device == "cpu");
  CHECK(config.runtime.dtype == "float32");
  CHECK(config.runtime.cache_dtype == "bfloat16");
  CHECK(config.runtime.threads == 2);
  CHECK(config.runtime.seed == INT64_MAX);
  CHECK_FALSE(config.runtime.deterministic);
  CHECK(config.runtime.silence_limit_s == 30);
  CHECK(config.runtime.compare_ranks_every == 7);
  CHECK(config.runtime.tensorboard);
}

TEST_CASE("load: every key reaches its own member (grpo)") {
  const GrpoConfig grpo = load_text(kEverything).grpo;
  CHECK(grpo.steps == 41);
  CHECK(grpo.learning_rate == 2e-4);
  CHECK(grpo.learning_rate_schedule == Schedule::kLinear);
  CHECK(grpo.warmup_steps == 1);
  CHECK(grpo.gradient_clip == 2);
  CHECK(grpo.traces_per_step == 3);
  CHECK(grpo.group_size == 12);
  CHECK(grpo.rollouts_per_pass == 24);
  CHECK(grpo.updates_per_batch == 2);
  CHECK(grpo.budgets == std::vector<std::int64_t>{128, 256});
  CHECK(grpo.temperature == 0.1);
  CHECK(grpo.shortlist_windows == 3);
  CHECK(grpo.likelihood == Likelihood::kIndependent);
  CHECK(grpo.credit == Credit::kTrace);
  CHECK(grpo.credit_discount == 0.25);
  CHECK(grpo.advantage == AdvantageScale::kStep);
  CHECK(grpo.reward == RewardShape::kSquaredLargeRise);
  CHECK(grpo.reward_tokens == RewardTokens::kAll);
  CHECK(grpo.low_entropy_share == 0.75);
  CHECK(grpo.reward_threshold_nats == 1.25);
  CHECK(grpo.reward_clamp_low_nats == -2);
  CHECK(grpo.reward_clamp_high_nats == 5.5);
  CHECK(grpo.clip_range == 0.1);
  CHECK(grpo.kl_weight == 0.01);
  CHECK(grpo.kl_schedule == Schedule::kCosine);
  CHECK(grpo.start == "g.safetensors");
  CHECK(grpo.checkpoint.save_every == 11);
  CHECK(grpo.checkpoint.evaluate_every == 0);
  CHECK(grpo.checkpoint.keep_last == 5);
  CHECK(grpo.checkpoint.keep_best == 0);
  CHECK(grpo.checkpoint.resume == "runs/old/step_20");
}

TEST_CASE("load: the file of the tests above changes every key, so none is left undeclared") {
  const Config defaults;
  CHECK(config_differences(defaults, load_text(kEverything)).size() == config_keys().size());
}

TEST_CASE("load: a byte order mark and Windows line ends change nothing") {
  const std::string text =
      std::string(kMinimalConfig) + "scorer: {initial: \"it's\"} # a 'comment\ntraces:\n  file: 'x'\n";
  std::string windows = "\xef\xbb\xbf";
  for (const char letter : text) windows += letter == '\n' ? "\r\n" : std::string(1, letter);
  CHECK(config_differences(load_text(text), load_text(windows)).empty());
}

TEST_CASE("load: numbers are read in every usual notation") {
  const auto rate = [](const std::string& text) {
    return load_text(kMinimalConfig, {"grpo.learning_rate=" + text}).grpo.learning_rate;
  };
  CHECK(rate("1e-2") == 0.01);
  CHECK(rate("3e-4") == 3e-4);
  CHECK(rate("3E-4") == 3e-4);
  CHECK(rate("+0.5") == 0.5);
  CHECK(rate(".5") == 0.5);
  CHECK(rate("1") == 1.0);
  CHECK(load_text(kMinimalConfig, {"grpo.reward_clamp_low_nats=-1.5"}).grpo.reward_clamp_low_nats == -1.5);
  CHECK(load_text(kMinimalConfig, {"supervised.steps=+7"}).supervised.steps == 7);
}

TEST_CASE("load: bounds are included where they should be") {
  CHECK(load_text(kMinimalConfig, {"traces.temperature=0"}).traces.temperature == 0);
  CHECK(load_text(kMinimalConfig, {"traces.top_p=1"}).traces.top_p == 1);
  CHECK(load_text(kMinimalConfig, {"oracle.compression=9"}).oracle.compression == 9);
  CHECK(load_text(kMinimalConfig, {"grpo.group_size=2"}).grpo.group_size == 2);
  CHECK(load_text(kMinimalConfig, {"supervised.keep_last=1"}).supervised.checkpoint.keep_last == 1);
}

TEST_CASE("load: overrides are applied in order over the file, with values in YAML syntax") {
  const Config config = load_text(
      kEverything, {"supervised.steps=1", "supervised.steps=50", "data.train=[x.jsonl, \"y, z.jsonl\"]",
                    "data.evaluation=[]", "output=runs/a=b", "data.pack=true", "scorer.initial=''",
                    "grpo.resume='auto'", "scorer.features=normalized"});
  CHECK(config.supervised.steps == 50);
  CHECK(config.data.train == Strings{"x.jsonl", "y, z.jsonl"});
  CHECK(config.data.evaluation.empty());
  CHECK(config.output == "runs/a=b");
  CHECK(config.data.pack);
  CHECK(config.scorer.initial.empty());
  CHECK(config.grpo.checkpoint.resume == "auto");
  CHECK(config.scorer.features == ScorerFeatures::kNormalized);
}

TEST_CASE("load: an override may bring a required key that the file lacks") {
  CHECK(load_text("output: o\nmodel: {path: m}\n", {"data.train=[a]"}).data.train == Strings{"a"});
  CHECK(load_text("", {"data.train=[a]", "output=o", "model.path=m"}).output == "o");
}

TEST_CASE("load: ${NAME} is expanded in every path and nowhere else") {
  ::setenv("FORESIGHT_TEST_ROOT", "/root of data", 1);
  const std::string root = "${FORESIGHT_TEST_ROOT}";
  const Config config = load_text(
      "output: ${FORESIGHT_TEST_ROOT}/o\n",
      {"model.path=" + root + "/m", "data.train=['" + root + "/t', plain]",
       "data.evaluation=['" + root + "/e']", "traces.prompts=['" + root + "/p']",
       "traces.file=" + root + "/f", "scorer.initial=" + root + "/i", "grpo.start=" + root + "/s",
       "supervised.resume=" + root + "/r", "grpo.resume=" + root + "/q",
       "evaluation.policies=['" + root + "/x.safetensors']", "generation.policy=" + root + "/y.safetensors"});
  CHECK(config.output == "/root of data/o");
  CHECK(config.model.path == "/root of data/m");
  CHECK(config.data.train == Strings{"/root of data/t", "plain"});
  CHECK(config.data.evaluation == Strings{"/root of data/e"});
  CHECK(config.traces.prompts == Strings{"/root of data/p"});
  CHECK(config.traces.file == "/root of data/f");
  CHECK(config.scorer.initial == "/root of data/i");
  CHECK(config.grpo.start == "/root of data/s");
  CHECK(config.supervised.checkpoint.resume == "/root of data/r");
  CHECK(config.grpo.checkpoint.resume == "/root of data/q");
  CHECK(config.evaluation.policies == Strings{"/root of data/x.safetensors"});
  CHECK(config.generation.policy == "/root of data/y.safetensors");
  CHECK(to_yaml(config).find("${") == std::string::npos);
  CHECK(faults_of(kMinimalConfig, {"runtime.device=" + root}).size() == 1);
}

TEST_CASE("to_yaml: loading what was written gives the same config") {
  for (const char* text : {kMinimalConfig, kEverything}) {
    const Config config = load_text(text);
    const Config again = load_text(to_yaml(config));
    CHECK(config_differences(config, again).empty());
    CHECK(to_yaml(again) == to_yaml(config));
  }
}

TEST_CASE("to_yaml: awkward texts come back unchanged") {
  Config config = load_text(kMinimalConfig);
  const Strings awkward = {"true",      "null",
                           "NULL",      "Yes",
                           "10",        "1e3",
                           "a: b",      "a #b",
                           "- x",       "it's",
                           "\"q\"",     "back\\",
                           "a,b",       "[x]",
                           "{y}",       " lead",
                           "trail ",    "tab\there",
                           "&a",        "*a",
                           "!t",        "%d",
                           "@x",        "`x`",
                           "line\nend", "\xc3\xa9t\xc3\xa9",
                           "...",       "---",
                           "a\x7f",     "C:\\x",
                           "a$HOME",    "?",
                           "-",         "|",
                           ">",         "key:",
                           "\x01"};
  config.data.evaluation = awkward;
  config.scorer.initial = "";
  for (const std::string& text : awkward) {
    config.output = text;
    const Config again = load_text(to_yaml(config));
    CHECK(again.output == text);
    CHECK(again.data.evaluation == awkward);
  }
}

TEST_CASE("to_yaml: doubles come back bit for bit") {
  Config config = load_text(kMinimalConfig);
  for (const double rate : {0.1, 1.0 / 3.0, 1e-4, 1e-300, 5e-324, 2.2250738585072014e-308, 1e-7,
                            9.999999999999999e-7, 0.30000000000000004, 10.0, 1.0, 1.0000000000000002}) {
    config.supervised.learning_rate = rate;
    config.supervised.gradient_clip = rate * 12345.678;
    config.grpo.reward_clamp_low_nats = -rate;
    config.grpo.reward_clamp_high_nats = 1000;
    const Config again = load_text(to_yaml(config));
    CHECK(again.supervised.learning_rate == rate);
    CHECK(again.supervised.gradient_clip == rate * 12345.678);
    CHECK(again.grpo.reward_clamp_low_nats == -rate);
  }
}

TEST_CASE("to_yaml: doubles are short and cannot be taken for anything else") {
  Config config = load_text(kMinimalConfig);
  config.supervised.learning_rate = 1e-4;
  config.supervised.gradient_clip = 1.0;
  config.supervised.margin = 1e-7;
  const std::string yaml = to_yaml(config);
  CHECK_THAT(yaml, Catch::Contains("  learning_rate: 0.0001\n"));
  CHECK_THAT(yaml, Catch::Contains("  gradient_clip: 1.0\n"));
  CHECK_THAT(yaml, Catch::Contains("  margin: 1.0e-07\n"));
}

TEST_CASE("config_differences: each changed key with both values") {
  const Config before = load_text(kMinimalConfig);
  Config after = before;
  CHECK(config_differences(before, after).empty());
  after.supervised.steps = 20;
  after.supervised.checkpoint.keep_last = 7;
  after.grpo.checkpoint.resume = "never";
  after.grpo.credit = Credit::kTrace;
  after.data.train = {"a", "b c"};
  after.data.pack = false;
  Strings texts;
  for (const KeyDifference& difference : config_differences(before, after))
    texts.push_back(difference.text());
  CHECK(texts == Strings{"data.train: [train.jsonl] -> [a, \"b c\"]", "data.pack: true -> false",
                         "supervised.steps: 1000 -> 20", "supervised.keep_last: 2 -> 7",
                         "grpo.credit: step -> trace", "grpo.resume: auto -> never"});
}

}  // namespace
}  // namespace foresight
