// Planted facts and continued prompts through a whole evaluation, and recall against teacher-forced runs.
#include <torch/types.h>

#include <nlohmann/json.hpp>

#include "golden_eviction/oracle_stage.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/stages/tiny.h"
#include "trainer/app/run_needs.h"
#include "trainer/app/workspace.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/evaluation/evaluate_stage.h"
#include "trainer/evaluation/recall.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/report/report.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

constexpr CacheSize kSize{128, 64};

std::string text_of(const Tokenizer& tokenizer, const Tokens& tokens, std::int64_t first,
                    std::int64_t count) {
  return tokenizer.decode(
      std::span(tokens).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
}

}  // namespace

TEST_CASE("recall: the fact ends with the budget, the answer with the text, and nothing else differs",
          "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  for (const std::int64_t evictions : {1, 4}) {
    const PlantedText text = planted_text(workspace.tokenizer, kSize, evictions, 3, 1);
    const auto length = static_cast<std::int64_t>(text.stated.size());
    CHECK(length == 128 + (evictions + 1) * 64);
    REQUIRE(text.never.size() == text.stated.size());
    const std::string code =
        text_of(workspace.tokenizer, text.stated, length - text.answer_tokens, text.answer_tokens);
    CHECK(code.size() == 6);  // a blank and five digits
    const std::string before = text_of(workspace.tokenizer, text.stated, 0, kSize.budget);
    CHECK(before.ends_with("The code of the station is" + code + "."));
    CHECK(text_of(workspace.tokenizer, text.stated, kSize.budget, length - kSize.budget)
              .ends_with("What is the code of the station? The code of the station is" + code));
    for (std::int64_t at = kSize.budget; at < length; ++at)
      REQUIRE(text.never[static_cast<std::size_t>(at)] == text.stated[static_cast<std::size_t>(at)]);
    CHECK(text_of(workspace.tokenizer, text.never, 0, kSize.budget).find(code) == std::string::npos);
  }
  CHECK(planted_text(workspace.tokenizer, kSize, 1, 3, 2).stated !=
        planted_text(workspace.tokenizer, kSize, 1, 3, 1).stated);
}

TEST_CASE("recall: decoding token by token scores what a teacher-forced run scores", "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const PlantedText text = planted_text(workspace.tokenizer, kSize, 3, 0, 1);
  const torch::Tensor tokens = torch::tensor(text.stated, torch::kInt32).to(torch::kInt64).unsqueeze(0);
  const std::int64_t length = tokens.size(1);
  const auto answer_of = [&](const torch::Tensor& losses) {
    return -losses.narrow(1, length - text.answer_tokens, text.answer_tokens).sum().item<double>();
  };
  for (const CacheSize& size : {kSize, CacheSize{128, 64, 2, true}}) {
    // Not vase: in the first layer equal tokens have equal values, and rounding breaks their ties.
    for (const char* name : {"h2o", "random", "rkv", "recency_protected", "snapkv"}) {
      INFO(name << " " << size.protect_sinks);
      const Policy policy = rule_policy(name, size, 1);
      RecordedTrace named;
      named.id = "x";
      std::int64_t evictions = 0;
      const EvictionSelector inner = policy.make({&named});
      const EvictionSelector select = [&](const EvictionView& view) {
        evictions += view.layer == 0 ? 1 : 0;
        return inner(view);
      };
      const AnswerScores decoded =
          score_answers(workspace.model, tokens, text.prompt_tokens, {text.answer_tokens}, select, size);
      CHECK(evictions == 3);
      const TraceTokens traces{tokens, {text.prompt_tokens}};
      const double forced =
          answer_of(evicted_losses(workspace.model, traces, size, 1, policy.make({&named})));
      CHECK(decoded.log_probability[0] == Approx(forced).epsilon(1e-4));
    }
  }
  std::int64_t told = 0;
  score_answers(workspace.model, tokens, text.prompt_tokens, {text.answer_tokens},
                rule_policy("h2o", kSize, 1).make({}), kSize, [&](std::int64_t count) { told += count; });
  CHECK(told == length);
  // The full cache, all at once, and a cache that holds everything, token by token.
  const AnswerScores full =
      score_answers(workspace.model, tokens, text.prompt_tokens, {text.answer_tokens}, std::nullopt, kSize);
  const AnswerScores large = score_answers(workspace.model, tokens, text.prompt_tokens, {text.answer_tokens},
                                           rule_policy("h2o", {512, 64}, 1).make({}), {512, 64});
  CHECK(full.log_probability[0] == Approx(large.log_probability[0]).epsilon(1e-4));
}

TEST_CASE("recall: a score does not depend on other rows or on the lengths of their answers", "[stages]") {
  const Tiny tiny;
  const Workspace workspace = open_workspace(tiny.config(), alone());
  const PlantedText text = planted_text(workspace.tokenizer, kSize, 1, 0, 1);
  const torch::Tensor one = torch::tensor(text.stated, torch::kInt32).to(torch::kInt64).unsqueeze(0);
  const torch::Tensor two = torch::tensor(text.never, torch::kInt32).to(torch::kInt64).unsqueeze(0);
  const auto score = [&](const torch::Tensor& texts, const std::vector<std::int64_t>& answers) {
    return score_answers(workspace.model, texts, text.prompt_tokens, answers, std::nullopt, kSize);
  };
  const AnswerScores both = score(torch::cat({one, two}), {2, 5});
  CHECK(both.log_probability[0] == Approx(score(one, {2}).log_probability[0]).epsilon(1e-5));
  CHECK(both.log_probability[1] == Approx(score(two, {5}).log_probability[0]).epsilon(1e-5));
  CHECK(both.likeliest[0] == score(one, {2}).likeliest[0]);
  request_stop();
  REQUIRE_THROWS_WITH(score(one, {2}), Catch::Contains("stopped"));
}

TEST_CASE("evaluate: planted facts and continued prompts stand in evaluation.json and its report",
          "[stages]") {
  const Tiny tiny;
  const std::vector<std::string> settings = {"eviction.budget=128",
                                             "eviction.window=64",
                                             "data.trace_tokens=256",
                                             "evaluation.policies=[full,golden,h2o,recency_protected]",
                                             "evaluation.recall_facts=3",
                                             "evaluation.recall_evictions=[2, 1]",
                                             "evaluation.continued_prompts=2",
                                             "generation.max_new_tokens=12",
                                             "evaluation.rows_per_pass=4"};
  const Config config = tiny.config(settings);
  const Workspace workspace = open_workspace(config, alone());
  run_oracle(config, workspace.model, workspace.tokenizer, alone());
  const auto evaluation = run_evaluate(config, workspace.model, workspace.tokenizer, alone());
  const auto& recall = evaluation.at("recall");
  CHECK(recall["evictions"] == nlohmann::ordered_json({2, 1}));
  CHECK(recall["policies"].size() == 2);
  CHECK(recall["policies"]["h2o"]["gain"][1].size() == 3);
  CHECK(recall["full_gain"][0].size() == 3);
  const auto& continued = evaluation.at("generation").at("continued");
  CHECK(continued["prompts"] == 2);
  CHECK(continued["policies"]["full"]["equal_share"] == 1.0);
  CHECK_FALSE(continued["policies"].contains("golden"));
  CHECK(continued["policies"]["h2o"]["mean_tokens"].get<double>() <= 12.0);
  CHECK(evaluation["policies"]["h2o"].contains("rise_p99"));
  CHECK(evaluation["policies"]["golden"]["boundary_accuracy"] == 1.0);
  REQUIRE_NOTHROW(write_report(tiny.run()));
  std::vector<std::string> fewer = settings;
  fewer.emplace_back("evaluation.recall_facts=2");
  const Config other = tiny.config(fewer);
  CHECK(run_evaluate(other, workspace.model, workspace.tokenizer, alone())["recall"]["facts"] == 2);
}

TEST_CASE("validate: planted facts and continued prompts are counted with their policies", "[stages]") {
  const Tiny tiny;
  const std::vector<std::string> settings = {"eviction.budget=128", "eviction.window=64",
                                             "data.trace_tokens=256",
                                             "evaluation.policies=[full,golden,h2o,random]"};
  const Workspace workspace = open_workspace(tiny.config(settings), alone());
  const auto tokens_with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = settings;
    all.insert(all.end(), more.begin(), more.end());
    const Config config = tiny.config(all);
    return estimate_needs(config, workspace.model.shape(), workspace.model.options(), planned_lengths(config),
                          {Stage::kEvaluate})
        .evaluation_tokens;
  };
  const double without = tokens_with({});
  // Texts of 256 and 320 tokens under two policies, and twice under the full cache.
  CHECK(tokens_with({"evaluation.recall_facts=3", "evaluation.recall_evictions=[1, 2]"}) - without ==
        3 * (256 + 320) * 4);
  CHECK(tokens_with({"evaluation.continued_prompts=2", "generation.max_new_tokens=12"}) - without ==
        2 * (128 + 12) * 3);
}
