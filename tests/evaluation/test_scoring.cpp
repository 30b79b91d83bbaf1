#include <torch/types.h>

#include "trainer/base/error.h"
#include "trainer/evaluation/evaluation_json.h"
#include "trainer/evaluation/scoring.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// Ten tokens with full-KV loss 1; entropy grows with the position, so the last scored tokens are the
/// uncertain ones.
RecordedTrace plain_trace(const std::string& id) {
  RecordedTrace trace;
  trace.id = id;
  trace.tokens = torch::zeros({10}, torch::kInt64);
  trace.loss = torch::ones({10});
  trace.entropy = torch::arange(10).to(torch::kFloat32);
  trace.completion = torch::arange(10) >= 7;
  return trace;
}

PolicyRun run_with_rise(const std::string& name, const std::vector<torch::Tensor>& rises) {
  PolicyRun run;
  run.name = name;
  for (const torch::Tensor& rise : rises) run.loss.push_back(torch::ones({10}) + rise);
  return run;
}

}  // namespace

TEST_CASE("scoring: figures of a run by hand", "[evaluation]") {
  const std::vector<RecordedTrace> traces = {plain_trace("a"), plain_trace("b")};
  // scored: t = 5 .. 9, of them the four of lowest entropy are 5 .. 8
  const torch::Tensor first = torch::tensor({9.F, 9.F, 9.F, 9.F, 9.F, 0.1F, 0.2F, 0.3F, 0.4F, 2.F});
  const torch::Tensor second = torch::zeros({10});
  PolicyRun run = run_with_rise("x", {first, second});
  run.divergence = {torch::full({10}, 0.5), torch::zeros({10})};
  run.agreement = {torch::zeros({10}), torch::ones({10})};
  const PolicyResult result = score_run(run, traces, {.first_scored = 5});
  CHECK(result.tokens == 10);
  CHECK(result.loss == Approx(1.3));
  CHECK(result.loss_rise == Approx(0.3));
  CHECK(result.loss_ratio == Approx(1.3));
  CHECK(result.low_entropy_loss_rise == Approx(1.0 / 8));
  CHECK(result.high_entropy_loss_rise == Approx(1.0));
  CHECK(*result.divergence == Approx(0.25));
  CHECK(*result.agreement == Approx(0.5));
  CHECK(result.trace_loss_rise[0] == Approx(0.6));
  CHECK(result.trace_low_entropy_loss_rise[1] == Approx(0.0).margin(1e-7));
  CHECK_FALSE(result.attention_kept);
  REQUIRE(result.by_position.size() == 1);
  CHECK(result.by_position[0].end == 10);
  const PolicyResult completion =
      score_run(run, traces, {.first_scored = 5, .score = ScoreTokens::kCompletion});
  CHECK(completion.tokens == 6);
  CHECK(completion.loss_rise == Approx(2.7 / 6));
  REQUIRE_THROWS_AS(score_run(run, {traces[0]}, {.first_scored = 5}), Error);
}

TEST_CASE("scoring: the rise by position is that of the trace's beginning", "[evaluation]") {
  RecordedTrace trace = plain_trace("long");
  trace.tokens = torch::zeros({200}, torch::kInt64);
  trace.loss = torch::ones({200});
  trace.entropy = torch::ones({200});
  trace.completion = torch::ones({200}, torch::kBool);
  PolicyRun run;
  run.loss = {torch::arange(200).to(torch::kFloat32)};
  const PolicyResult result = score_run(run, {trace}, {.first_scored = 60});
  REQUIRE(result.by_position.size() == 3);
  CHECK(result.by_position[0].end == 64);
  CHECK(result.by_position[0].tokens == 4);
  CHECK(result.by_position[0].loss_rise == Approx(61.5 - 1));
  CHECK(result.by_position[1].end == 128);
  CHECK(result.by_position[2].end == 200);
  CHECK(result.by_position[2].loss_rise == Approx(result.loss_rise));
}

TEST_CASE("scoring: differences go to the best hand-written rule, in plain words", "[evaluation]") {
  const std::vector<RecordedTrace> traces = {plain_trace("a"), plain_trace("b")};
  const auto constant = [](double value) { return torch::full({10}, value); };
  std::vector<PolicyResult> results;
  for (const auto& [name, one, two] :
       {std::tuple{"full", 0.0, 0.0}, std::tuple{"golden", 0.0, 0.0}, std::tuple{"supervised", 0.1, 0.2},
        std::tuple{"rkv", 0.4, 0.5}, std::tuple{"h2o", 0.3, 0.7}}) {
    results.push_back(
        score_run(run_with_rise(name, {constant(one), constant(two)}), traces, {.first_scored = 5}));
  }
  REQUIRE(best_rule(results)->name == "rkv");
  results.push_back(
      score_run(run_with_rise("grpo", {constant(0.05), constant(0.1)}), traces, {.first_scored = 5}));
  const auto json = policies_json(results, 1);
  CHECK(json["grpo"]["difference_to_supervised"]["loss_rise"].get<double>() == Approx(-0.075));
  CHECK(json["grpo"]["difference_to_supervised"]["low_entropy"]["significant"] == true);
  CHECK_FALSE(json["supervised"].contains("difference_to_supervised"));
  const auto single = policies_json(
      {score_run(run_with_rise("supervised", {constant(0.1)}), {traces[0]}, {.first_scored = 5}),
       score_run(run_with_rise("rkv", {constant(0.4)}), {traces[0]}, {.first_scored = 5})},
      1);
  CHECK_FALSE(single["supervised"].contains("difference"));  // one trace has no interval
  CHECK_FALSE(json["full"].contains("difference"));
  CHECK_FALSE(json["rkv"].contains("difference"));
  CHECK(json["supervised"]["difference"]["loss_rise"].get<double>() == Approx(-0.3));
  CHECK(json["supervised"]["difference"]["low"].get<double>() == Approx(-0.3));
  CHECK(json["supervised"]["difference"]["significant"] == true);
  CHECK(json["supervised"]["difference"]["sentence"] ==
        "loses 0.3000 nats less than rkv (95 % interval 0.3000 to 0.3000, paired over 2 traces)");
  CHECK(json["h2o"]["difference"]["significant"] == false);
  CHECK(json["h2o"]["difference"]["sentence"].get<std::string>().find("not significant") !=
        std::string::npos);
}
