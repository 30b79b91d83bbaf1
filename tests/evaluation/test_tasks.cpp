#include <torch/types.h>

#include "trainer/evaluation/tasks.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("tasks: figures are those of the samples, or of the greedy text without samples", "[evaluation]") {
  const SolvedProblem first{
      {{"so \\boxed{7}", 10, true}, {"#### 7", 20, true}, {"#### 8", 30, false}}, "7", 4};
  const SolvedProblem second{
      {{"no idea", 40, false}, {"\\boxed{3}", 10, true}, {"\\boxed{3.0}", 10, true}}, "3", 6};
  const auto json = score_solutions({first, second});
  CHECK(json["accuracy"].get<double>() == Approx(0.75));
  CHECK(json["greedy_accuracy"].get<double>() == Approx(0.5));
  CHECK(json["answered"].get<double>() == Approx(1.0));
  CHECK(json["mean_tokens"].get<double>() == Approx(17.5));
  CHECK(json["truncation_rate"].get<double>() == Approx(0.25));
  CHECK(json["greedy_truncation_rate"].get<double>() == Approx(0.5));
  CHECK(json["tokens_until_difference"].get<double>() == Approx(5.0));
  const SolvedProblem greedy{{{"#### 7", 10, true}}, "7", 4};
  CHECK(score_solutions({greedy})["accuracy"].get<double>() == 1.0);
  const SolvedProblem cut{{{"#### 7 and", 30, false}}, "7", 4};
  const auto alone = score_solutions({greedy, cut});
  CHECK(alone["mean_tokens"].get<double>() == Approx(20.0));
  CHECK(alone["truncation_rate"].get<double>() == Approx(0.5));
  CHECK(alone["greedy_truncation_rate"].get<double>() == Approx(0.5));
}
