// R-KV against its published code: the same tensors in, the same entries out.
// tests/reference/rules/make_rkv_fixture.py says how it was called, and for which tensors both are the same.
#include <torch/types.h>

#include "tests/eviction/published_rules.h"

#include "tests/catch.h"

namespace foresight::testing {
namespace {

TEST_CASE("rkv: one query head per KV head is the published code", "[eviction][unit]") {
  const PublishedRules published("rkv");
  const auto scores = rkv_scores(published.view(), published.attention().narrow(2, 0, 1));
  REQUIRE(published.same_scores("single", scores));
  REQUIRE(published.same_evicted("single", scores));
}

TEST_CASE("rkv: a group whose heads are equally normalised is the published code", "[eviction][unit]") {
  const PublishedRules published("rkv");
  const auto view = published.view();
  REQUIRE(published.attention().size(2) == 3);
  const auto scores = rkv_scores(view, published.attention());
  REQUIRE(published.same_scores("group", scores));
  REQUIRE(published.same_evicted("group", scores));
  const auto code_default = rkv_scores(view, published.attention(), {.importance_weight = 0.07});
  REQUIRE(published.same_scores("group_007", code_default));
  REQUIRE(published.same_evicted("group_007", code_default));
}

}  // namespace
}  // namespace foresight::testing
