// The eviction rules against NVIDIA's kvpress 0.5.5: the same tensors in, the same entries out.
// tests/reference/rules/make_fixture.py says how each press was called and what it does differently.
#include <torch/types.h>

#include "tests/eviction/published_rules.h"

#include "tests/catch.h"

namespace foresight::testing {
namespace {

TEST_CASE("kvpress: streaming_llm evicts the same entries", "[eviction][unit]") {
  const PublishedRules kvpress("kvpress");
  const auto scores = streaming_llm_scores(kvpress.view());
  REQUIRE(kvpress.same_evicted("streaming_llm", scores));
  // kvpress marks what goes with 0 and what stays with 1; ours is finer, and in the same order.
  const auto stays = kvpress.tensors.at("streaming_llm.scores") > 0.5;
  const auto least_evicted = scores.masked_fill(stays, 1e9).amin(-1);
  const auto most_kept = scores.masked_fill(stays.logical_not(), -1e9).amax(-1);
  REQUIRE((least_evicted > most_kept).all().item<bool>());
}

TEST_CASE("kvpress: h2o is its observed attention, summed and not averaged", "[eviction][unit]") {
  const PublishedRules kvpress("kvpress");
  const auto scores = h2o_scores(kvpress.view());
  REQUIRE(kvpress.same_scores("h2o", scores));
  REQUIRE(kvpress.same_evicted("h2o", scores));
}

TEST_CASE("kvpress: snapkv is the same but for the kind of pooling", "[eviction][unit]") {
  const PublishedRules kvpress("kvpress");
  const auto unpooled = snapkv_scores(kvpress.view(), 1);
  REQUIRE(kvpress.same_scores("snapkv_kernel1", unpooled));
  REQUIRE(kvpress.same_evicted("snapkv_kernel1", unpooled));
  const auto pooled = snapkv_scores(kvpress.view());
  REQUIRE(kvpress.same_scores("snapkv_kernel7", pooled));
  REQUIRE(kvpress.same_evicted("snapkv_kernel7", pooled));
  // A mean over neighbours in place of the maximum gives kvpress's default, whose kernel is 5.
  REQUIRE(kvpress.same_scores("snapkv_average5", torch::avg_pool1d(unpooled, 5, 1, 2)));
}

TEST_CASE("kvpress: tova is the same per KV head, and its mean is that of the layer", "[eviction][unit]") {
  const PublishedRules kvpress("kvpress");
  const auto scores = tova_scores(kvpress.view(), kvpress.attention());
  REQUIRE(kvpress.same_scores("tova", scores));
  REQUIRE(kvpress.same_evicted("tova", scores));
  REQUIRE(kvpress.same_scores("tova_layer", scores.mean(1)));
}

TEST_CASE("kvpress: keydiff is the same", "[eviction][unit]") {
  const PublishedRules kvpress("kvpress");
  const auto scores = keydiff_scores(kvpress.view());
  REQUIRE(kvpress.same_scores("keydiff", scores));
  REQUIRE(kvpress.same_evicted("keydiff", scores));
}

}  // namespace
}  // namespace foresight::testing
