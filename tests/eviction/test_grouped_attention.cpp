#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/eviction/grouped_attention.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// The attention with the probabilities in hand, in float64.
torch::Tensor attention_in_full(const torch::Tensor& query, const torch::Tensor& keys,
                                const torch::Tensor& values) {
  const std::int64_t rows = query.size(0), heads = keys.size(1), tokens = query.size(2), d = query.size(3);
  const torch::Tensor grouped =
      query.to(torch::kFloat64).view({rows, heads, query.size(1) / heads, tokens, d});
  return attention_output(attention_probabilities(grouped, keys.to(torch::kFloat64)),
                          values.to(torch::kFloat64))
      .view(query.sizes());
}

/// One layer with heads of 16 numbers.
ModelShape one_layer(std::int64_t query_heads, std::int64_t kv_heads) {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = query_heads;
  shape.kv_heads = kv_heads;
  shape.head_dimension = 16;
  return shape;
}

}  // namespace

TEST_CASE("Fused causal attention is the attention with its probabilities in hand") {
  torch::manual_seed(1);
  for (const std::int64_t tokens : {17, 64, 300}) {
    for (const std::int64_t before : {0, 1, 40, 700}) {
      CAPTURE(tokens, before);
      const torch::Tensor query = torch::randn({2, 6, tokens, 16}) * 2;
      // Parts of larger buffers, as a cache has them.
      const torch::Tensor keys = torch::randn({2, 2, before + tokens + 9, 16}).narrow(2, 0, before + tokens);
      const torch::Tensor values =
          torch::randn({2, 2, before + tokens + 9, 16}).narrow(2, 0, before + tokens);
      REQUIRE(suits_causal_attention(query, query.scalar_type()));
      const torch::Tensor found = causal_attention(query, keys, values);
      REQUIRE(found.sizes() == query.sizes());
      REQUIRE(torch::allclose(found.to(torch::kFloat64), attention_in_full(query, keys, values), 1e-5, 2e-6));
    }
  }
}

TEST_CASE(
    "Attention that lies almost wholly before the queries, or wholly in them, is not lost in the fusion") {
  torch::manual_seed(2);
  const torch::Tensor query = torch::ones({1, 2, 20, 8});
  for (const double sign : {1.0, -1.0}) {
    torch::Tensor keys = torch::randn({1, 1, 50, 8});
    keys.narrow(2, 0, 30).fill_(sign * 40);  // scores 113 above or below the others
    const torch::Tensor values = torch::randn({1, 1, 50, 8});
    const torch::Tensor found = causal_attention(query, keys, values);
    CHECK(torch::allclose(found.to(torch::kFloat64), attention_in_full(query, keys, values), 1e-5, 2e-6));
  }
}

TEST_CASE("Attention with sinks is that of one more entry, which has no value, fused or not") {
  torch::manual_seed(3);
  for (const std::int64_t before : {0, 30}) {
    CAPTURE(before);
    const torch::Tensor query = torch::randn({2, 4, 20, 8}) * 2, sinks = torch::randn({4}) * 2;
    const torch::Tensor keys = torch::randn({2, 2, before + 20, 8}),
                        values = torch::randn({2, 2, before + 20, 8});
    const torch::Tensor grouped = query.view({2, 2, 2, 20, 8}).to(torch::kFloat64);
    const torch::Tensor scores =
        torch::matmul(grouped, keys.to(torch::kFloat64).unsqueeze(2).transpose(3, 4)) / std::sqrt(8.0);
    const torch::Tensor unseen = torch::ones({20, before + 20}, torch::kBool).triu(before + 1);
    const torch::Tensor weights = scores.exp().masked_fill(unseen, 0.0);
    const torch::Tensor expected =
        weights / (weights.sum(-1, true) + sinks.to(torch::kFloat64).exp().view({1, 2, 2, 1, 1}));
    const AttentionRule rule{.sinks = sinks};
    const torch::Tensor found = attention_probabilities(query.view({2, 2, 2, 20, 8}), keys, {}, rule);
    CHECK(torch::allclose(found.to(torch::kFloat64), expected, 1e-5, 1e-7));
    const torch::Tensor output = torch::matmul(expected, values.to(torch::kFloat64).unsqueeze(2));
    CHECK(torch::allclose(causal_attention(query, keys, values, sinks).to(torch::kFloat64),
                          output.view(query.sizes()), 1e-5, 2e-6));
  }
}

TEST_CASE("Fused causal attention in bfloat16 is near that of the same values in float64") {
  torch::manual_seed(4);
  const torch::Tensor query = torch::randn({1, 4, 40, 16}).to(torch::kBFloat16);
  for (const std::int64_t before : {0, 100}) {
    const torch::Tensor keys = torch::randn({1, 2, before + 40, 16}).to(torch::kBFloat16);
    const torch::Tensor values = torch::randn({1, 2, before + 40, 16}).to(torch::kBFloat16);
    const torch::Tensor found = causal_attention(query, keys, values).to(torch::kFloat64);
    const torch::Tensor exact =
        attention_in_full(query.to(torch::kFloat32), keys.to(torch::kFloat32), values.to(torch::kFloat32));
    // Probabilities and results are rounded to 8 bits: 2^-9 of values of about one.
    CHECK((found - exact).abs().max().item<double>() < 0.03);
    CHECK((found - exact).abs().mean().item<double>() < 0.002);
  }
}

TEST_CASE("Fused causal attention of keys that do not fit is refused") {
  const torch::Tensor query = torch::randn({1, 4, 20, 8}), keys = torch::randn({1, 2, 30, 8});
  CHECK_THROWS_AS(causal_attention(query, torch::randn({1, 2, 30, 16}), keys), Error);
  CHECK_THROWS_AS(causal_attention(query, keys, torch::randn({1, 2, 31, 8})), Error);
  CHECK_THROWS_AS(causal_attention(query, torch::randn({1, 2, 19, 8}), torch::randn({1, 2, 19, 8})), Error);
  CHECK_THROWS_AS(causal_attention(query, torch::randn({1, 3, 30, 8}), torch::randn({1, 3, 30, 8})), Error);
}

TEST_CASE("A cache that an observer watches gives what one gives that nobody watches") {
  torch::manual_seed(3);
  const ModelShape shape = one_layer(6, 2);
  const bool has_padding = GENERATE(false, true);
  constexpr std::int64_t kRows = 2, kPadding = 7;  // of the second row
  FullCache watched(shape, kRows, 100, {}), alone(shape, kRows, 100, {});
  std::int64_t queries_seen = 0;
  watched.set_observer(
      [&](std::int64_t, const torch::Tensor& probabilities) { queries_seen += probabilities.size(3); });
  if (has_padding) {
    for (FullCache* cache : {&watched, &alone})
      cache->set_padding(torch::tensor({std::int64_t{0}, kPadding}));
  }
  for (const std::int64_t tokens : {40, 30, 1, 29}) {
    const torch::Tensor query = torch::randn({kRows, 6, tokens, 16}),
                        key = torch::randn({kRows, 2, tokens, 16}),
                        value = torch::randn({kRows, 2, tokens, 16});
    const torch::Tensor found = watched.attend(0, query, key, value),
                        expected = alone.attend(0, query, key, value);
    // What padding itself attends to does not matter.
    const std::int64_t first = has_padding && watched.tokens() == tokens ? kPadding : 0;
    CHECK(torch::allclose(found.narrow(2, first, tokens - first), expected.narrow(2, first, tokens - first),
                          1e-5, 2e-6));
    CHECK(expected.isfinite().all().item<bool>());
  }
  CHECK(queries_seen == 100);
}

TEST_CASE("A cache in another type than the products attends to what it holds") {
  torch::manual_seed(6);
  const ModelShape shape = one_layer(4, 2);
  for (const torch::ScalarType products : {torch::kFloat32, torch::kBFloat16}) {
    const torch::ScalarType other = products == torch::kFloat32 ? torch::kBFloat16 : torch::kFloat32;
    ModelOptions options;
    options.dtype = products;
    options.cache_dtype = other;
    FullCache cache(shape, 1, 60, options);
    torch::Tensor keys, values;
    for (const std::int64_t tokens : {50, 2}) {  // many queries, then few
      // Numbers that bfloat16 holds exactly, so that no conversion changes them.
      const auto numbers = [&](std::int64_t heads) {
        return torch::randn({1, heads, tokens, 16}).to(torch::kBFloat16).to(torch::kFloat32);
      };
      const torch::Tensor query = numbers(4), key = numbers(2), value = numbers(2);
      keys = tokens == 50 ? key : torch::cat({keys, key}, 2);
      values = tokens == 50 ? value : torch::cat({values, value}, 2);
      const torch::Tensor found = cache.attend(0, query, key, value).to(torch::kFloat64);
      const double rounding = products == torch::kBFloat16 ? 0.02 : 2e-6;
      CHECK((found - attention_in_full(query, keys, values)).abs().max().item<double>() < rounding);
    }
  }
}

TEST_CASE("A cache whose attention bytes are few attends in parts and gives what whole blocks give") {
  torch::manual_seed(5);
  const ModelShape shape = one_layer(6, 2);
  constexpr std::int64_t kRows = 2, kTokens = 50, kQueryBytes = kRows * 6 * 4;  // for each entry
  for (const std::int64_t bytes : {kAttentionBytes, 7 * kTokens * kQueryBytes, std::int64_t{1}}) {
    FullCache few(shape, kRows, kTokens, {}), whole(shape, kRows, kTokens, {});
    std::vector<std::int64_t> parts;
    whole.set_observer([](std::int64_t, const torch::Tensor&) {});  // else it would attend by a kernel
    for (FullCache* cache : {&few, &whole}) {
      cache->set_padding(torch::tensor({0, 4}));
      cache->set_query_block(20, cache == &few ? bytes : kAttentionBytes);
    }
    few.set_observer([&](std::int64_t, const torch::Tensor& probabilities) {
      parts.push_back(probabilities.size(3));
      CHECK((probabilities.size(3) == 1 || probabilities.numel() * 4 <= bytes));
    });
    const torch::Tensor query = torch::randn({kRows, 6, kTokens, 16}),
                        key = torch::randn({kRows, 2, kTokens, 16}),
                        value = torch::randn({kRows, 2, kTokens, 16});
    const torch::Tensor found = few.attend(0, query, key, value),
                        expected = whole.attend(0, query, key, value);
    CHECK((bytes == kAttentionBytes ? torch::equal(found, expected)
                                    : torch::allclose(found, expected, 1e-5, 2e-6)));
    if (bytes == kAttentionBytes) CHECK(parts == std::vector<std::int64_t>{20, 20, 10});
    if (bytes == 1) CHECK(parts == std::vector<std::int64_t>(50, 1));
    // Blocks of 20, 20 and 10 queries over 20, 40 and 50 entries: 17, 8 and 7 of them fit, in even parts.
    if (bytes == 7 * kTokens * kQueryBytes) CHECK(parts == std::vector<std::int64_t>{10, 10, 7, 7, 6, 5, 5});
  }
}
