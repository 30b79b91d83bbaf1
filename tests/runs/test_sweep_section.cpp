#include "tests/report/fixture.h"
#include "tests/report/nesting.h"
#include "tests/runs/compared_runs.h"
#include "trainer/runs/comparison_page.h"

namespace foresight {
namespace {

using Catch::Contains;

/// The part of the page below "Loss rise against budget"; empty where there is none.
std::string budget_part(const ComparedRuns& compared) {
  const std::string html = comparison_html(compared.read());
  CHECK(nesting_fault(html).empty());
  const std::size_t at = html.find("<section id=\"budget\">");
  return at == std::string::npos ? "" : html.substr(at, html.find("</section>", at) - at);
}

/// How many lines the plot has.
int lines_in(const std::string& part) {
  return occurrences(part, "<g class=\"series ");
}

TEST_CASE("sweep plot: rules that all runs measured alike are one grey line, scorers one line per run") {
  ComparedRuns compared;
  compared.add("narrow", swept_evaluation({0.4, 0.2, 0.1}));
  compared.add("wide", swept_evaluation({0.3, 0.15, 0.05}));
  const std::string part = budget_part(compared);
  CHECK(lines_in(part) == 4);  // H2O, SnapKV and the scorers of both; full is zero by definition
  CHECK_THAT(part, Contains("<g class=\"series p-random\" data-name=\"H2O\"") &&
                       Contains("<g class=\"series p-random\" data-name=\"SnapKV\"") &&
                       Contains("<g class=\"series r0 scorer\" data-name=\"supervised, narrow\"") &&
                       Contains("<g class=\"series r1 scorer\" data-name=\"supervised, wide\""));
  CHECK_THAT(part, Contains("<th scope=\"col\">16</th><th scope=\"col\">32</th><th scope=\"col\">64</th>") &&
                       Contains("supervised, wide</th><td>+0.3000</td><td>+0.1500</td><td>+0.0500</td>") &&
                       Contains("H2O</th><td>+0.5000</td><td>+0.2500</td><td>+0.1667</td>") &&
                       Contains("full</th><td>0.0000</td>"));
  CHECK(part.find("other tokens than") == std::string::npos);
  CHECK(part.find("best rule") == std::string::npos);
}

TEST_CASE("sweep plot: of rules that the runs measured differently, it shows each run's best") {
  ComparedRuns compared;
  compared.add("a", swept_evaluation({0.4, 0.2, 0.1}));
  nlohmann::json other = swept_evaluation({0.3, 0.15, 0.05});
  other["inputs"]["traces_sha256"] = "xyz";
  other["policies"]["snapkv"] = policy_of_two(0.1, 0.1);  // H2O's rise is 0.3125 there
  for (nlohmann::json& entry : other["sweep"]) {
    entry["window"] = 8;
    entry["policies"]["h2o"] = policy_of_two(0.7, 0.7);
    entry["policies"]["snapkv"] = policy_of_two(0.6, 0.6);
  }
  compared.add("b", other);
  const std::string part = budget_part(compared);
  CHECK(lines_in(part) == 4);
  CHECK_THAT(part, Contains("<g class=\"series r0\" data-name=\"H2O, a\"") &&
                       Contains("<g class=\"series r1\" data-name=\"SnapKV, b\""));
  CHECK_THAT(part, Contains("H2O, b</th><td>+0.7000</td>"));
  CHECK_THAT(
      part,
      Contains("The lines of b may cover other tokens than those of a: the held-out traces are different.") &&
          Contains("Windows differ; budget/window: 16/8, 16/16, 32/8, 32/16, 64/8, 64/16.") &&
          Contains("The plot shows the best rule of each run; the table has all rules."));
}

TEST_CASE("sweep plot: runs with a single budget are named below it, and without a sweep there is no plot") {
  ComparedRuns compared;
  compared.add("plain", evaluation_of_two(0.2, 0.1));
  compared.add("begun", nullptr);
  CHECK(budget_part(compared).empty());
  compared.add("swept", swept_evaluation({0.4, 0.2, 0.1}));
  const std::string part = budget_part(compared);
  CHECK(lines_in(part) == 3);
  CHECK_THAT(part, Contains("<g class=\"series r2 scorer\" data-name=\"supervised, swept\"") &&
                       Contains("<g class=\"series p-random\" data-name=\"H2O\""));
  CHECK_THAT(part, Contains("(`evaluation.budgets` adds budgets): plain.</p>"));
}

}  // namespace
}  // namespace foresight
