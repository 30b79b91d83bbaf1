#include <torch/types.h>

#include "trainer/evaluation/tasks.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("tasks: accuracy is the mean over samples, or the greedy one without samples", "[evaluation]") {
  const SolvedProblem first{
      {{"so \\boxed{7}", 10, true}, {"#### 7", 20, true}, {"#### 8", 30, false}}, "7", 4};
  const SolvedProblem second{
      {{"no idea", 40, false}, {"\\boxed{3}", 10, true}, {"\\boxed{3.0}", 10, true}}, "3", 6};
  const auto json = score_solutions({first, second});
  CHECK(json["accuracy"].get<double>() == Approx(0.75));
  CHECK(json["greedy_accuracy"].get<double>() == Approx(0.5));
  CHECK(json["answered"].get<double>() == Approx(5.0 / 6));
  CHECK(json["mean_tokens"].get<double>() == Approx(20.0));
  CHECK(json["truncation_rate"].get<double>() == Approx(2.0 / 6));
  CHECK(json["tokens_until_difference"].get<double>() == Approx(5.0));
  const SolvedProblem greedy{{{"#### 7", 10, true}}, "7", 4};
  CHECK(score_solutions({greedy})["accuracy"].get<double>() == 1.0);
}
