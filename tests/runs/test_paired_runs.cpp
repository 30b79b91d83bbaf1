#include "trainer/runs/paired_runs.h"

#include "tests/runs/compared_runs.h"

namespace foresight {
namespace {

using Catch::Contains;

const PolicyOfRuns* row_of(const BudgetOfRuns& budget, const std::string& policy, std::size_t run) {
  for (const PolicyOfRuns& row : budget.policies) {
    if (row.policy == policy && row.runs.front() == run) return &row;
  }
  return nullptr;
}

TEST_CASE("paired runs: the difference and its interval are those worked out by hand") {
  ComparedRuns compared;
  compared.add("a", evaluation_of_two(0.2, 0.1));
  compared.add("b", evaluation_of_two(0.1, 0.06));
  const auto budgets = budgets_of_runs(compared.read());
  REQUIRE(budgets.size() == 1);
  CHECK(budgets[0].obstacles.empty());
  const PolicyOfRuns* const second = row_of(budgets[0], "supervised", 1);
  REQUIRE(second != nullptr);
  REQUIRE(second->compared);
  CHECK(*second->compared == 0);
  REQUIRE(second->difference);
  // (10 * -0.1 + 30 * -0.04) / 40. Of two traces, a quarter of the draws take the first twice, which gives
  // -0.1, and a quarter the second twice, which gives -0.04: these are the outer 2.5 %.
  CHECK(second->difference->all.value == Approx(-0.055));
  CHECK(second->difference->all.low == Approx(-0.1));
  CHECK(second->difference->all.high == Approx(-0.04));
  REQUIRE(second->difference->low_entropy);
  CHECK(second->difference->low_entropy->value == Approx((8 * -0.05 + 24 * -0.02) / 32));
  CHECK(second->difference->low_entropy->low == Approx(-0.05));
  CHECK(second->difference->low_entropy->high == Approx(-0.02));
  CHECK_FALSE(row_of(budgets[0], "supervised", 0)->difference);
}

TEST_CASE("paired runs: what runs measured alike on the same tokens is one row") {
  ComparedRuns compared;
  compared.add("a", evaluation_of_two(0.2, 0.1));
  compared.add("b", evaluation_of_two(0.1, 0.06));
  compared.add("c", evaluation_of_two(0.2, 0.1));
  const auto budgets = budgets_of_runs(compared.read());
  REQUIRE(budgets.size() == 1);
  CHECK(budgets[0].policies.size() == 4);
  CHECK((row_of(budgets[0], "h2o", 0)->runs == std::vector<std::size_t>{0, 1, 2}));
  CHECK((row_of(budgets[0], "supervised", 0)->runs == std::vector<std::size_t>{0, 2}));
  CHECK((row_of(budgets[0], "supervised", 1)->runs == std::vector<std::size_t>{1}));
}

TEST_CASE("paired runs: other traces, tokens or settings give no difference, and the reason is said") {
  const auto obstacle_with = [](const std::string& pointer, const nlohmann::json& value) {
    ComparedRuns compared;
    compared.add("a", evaluation_of_two(0.2, 0.1));
    nlohmann::json other = evaluation_of_two(0.1, 0.06);
    for (const char* policy : {"full", "h2o", "supervised"}) {
      std::string place = pointer;
      if (const std::size_t at = place.find('*'); at != std::string::npos) place.replace(at, 1, policy);
      other[nlohmann::json::json_pointer(place)] = value;
    }
    compared.add("b", other);
    const auto budgets = budgets_of_runs(compared.read());
    REQUIRE(budgets.size() == 1);
    CHECK(budgets[0].policies.size() == 6);
    for (const PolicyOfRuns& row : budgets[0].policies) {
      CHECK_FALSE(row.difference);
      CHECK_FALSE(row.compared);
    }
    REQUIRE(budgets[0].obstacles.size() == 1);
    CHECK(budgets[0].obstacles[0].first == 1);
    return budgets[0].obstacles[0].second;
  };
  CHECK_THAT(obstacle_with("/inputs/traces_sha256", "xyz"), Contains("held-out traces are different"));
  CHECK_THAT(obstacle_with("/inputs/traces_sha256", nullptr), Contains("does not say which held-out traces"));
  CHECK_THAT(obstacle_with("/inputs/score", "completion"), Contains("(all and completion)"));
  CHECK_THAT(obstacle_with("/policies/*/trace_tokens", {10, 31}), Contains("scored tokens are different"));
  CHECK_THAT(obstacle_with("/policies/*/trace_tokens", nullptr), Contains("how many tokens of each trace"));
}

TEST_CASE("paired runs: low-entropy rises are paired only where the full cache's entropies are the same") {
  for (const char* key : {"recorded_sha256", "low_entropy_share"}) {
    ComparedRuns compared;
    compared.add("a", evaluation_of_two(0.2, 0.1));
    nlohmann::json other = evaluation_of_two(0.1, 0.06);
    other["inputs"][key] =
        key == std::string("recorded_sha256") ? nlohmann::json("xyz") : nlohmann::json(0.5);
    compared.add("b", other);
    const auto budgets = budgets_of_runs(compared.read());
    const PolicyOfRuns* const row = row_of(budgets.at(0), "supervised", 1);
    REQUIRE(row != nullptr);
    REQUIRE(row->difference);
    CHECK_FALSE(row->difference->low_entropy);
  }
}

TEST_CASE("paired runs: a single trace, and rises that are no numbers, have no interval") {
  const auto policy_of = [](const std::vector<double>& rises, const std::vector<std::int64_t>& tokens) {
    PolicyMeasures policy;
    policy.by_trace = TraceRises{rises, tokens};
    return policy;
  };
  const double missing = std::numeric_limits<double>::quiet_NaN();
  CHECK(paired_rise(policy_of({1, 2}, {3, 4}), policy_of({1, 1}, {3, 4}), false));
  CHECK_FALSE(paired_rise(policy_of({1}, {3}), policy_of({2}, {3}), false));
  CHECK_FALSE(paired_rise(policy_of({1, missing}, {3, 4}), policy_of({1, 1}, {3, 4}), false));
  CHECK_FALSE(paired_rise(policy_of({1, 2}, {0, 0}), policy_of({1, 1}, {0, 0}), false));
  CHECK_FALSE(paired_rise(policy_of({1, 2}, {3, 4}), policy_of({1, 1}, {3, 5}), false));
  CHECK_FALSE(paired_rise(policy_of({1, 2}, {3, 4}), PolicyMeasures(), false));
}

TEST_CASE("paired runs: a run is compared with the first before it that scored the same tokens") {
  ComparedRuns compared;
  compared.add("a", evaluation_of_two(0.2, 0.1));
  nlohmann::json other = evaluation_of_two(0.4, 0.3);
  other["inputs"]["traces_sha256"] = "xyz";
  compared.add("b", other);
  compared.add("none", nullptr);
  other["policies"]["supervised"] = policy_of_two(0.3, 0.3);
  compared.add("c", other);
  const auto budgets = budgets_of_runs(compared.read());
  REQUIRE(budgets.size() == 1);
  CHECK((budgets[0].runs == std::vector<std::size_t>{0, 1, 3}));
  const PolicyOfRuns* const row = row_of(budgets[0], "supervised", 3);
  REQUIRE(row != nullptr);
  CHECK(row->compared == std::optional<std::size_t>(1));
  CHECK(row->difference->all.value == Approx(-0.1 / 4));
  CHECK(budgets[0].obstacles.size() == 2);
}

TEST_CASE("paired runs: own budgets come first, then those of sweeps that several runs have") {
  nlohmann::json first = evaluation_of_two(0.2, 0.1), second = evaluation_of_two(0.1, 0.06);
  const auto at = [](int budget) {
    return nlohmann::json{
        {"budget", budget}, {"window", 16}, {"policies", {{"h2o", policy_of_two(0.5, 0.25)}}}};
  };
  first["sweep"] = {at(16), at(32), at(64), at(128)};
  second["sweep"] = {at(16), at(256)};
  second["budget"] = 64;
  ComparedRuns compared;
  compared.add("a", first);
  compared.add("b", second);
  std::vector<std::pair<std::int64_t, bool>> budgets;
  for (const BudgetOfRuns& budget : budgets_of_runs(compared.read()))
    budgets.emplace_back(budget.budget, budget.main);
  CHECK((budgets == std::vector<std::pair<std::int64_t, bool>>{{32, true}, {64, true}, {16, false}}));
}

}  // namespace
}  // namespace foresight
