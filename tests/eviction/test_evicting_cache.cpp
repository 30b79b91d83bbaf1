#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

#include "tests/eviction/evicted_losses.h"
#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/eviction/rule_policies.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

constexpr std::int64_t kLength = 61;

ModelShape one_layer() {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = 4;
  shape.kv_heads = 2;
  shape.head_dimension = 4;
  return shape;
}

/// Evicts by a fixed formula of positions, different for each head.
torch::Tensor by_position(const EvictionView& view) {
  const torch::Tensor head = torch::arange(view.keys.size(1)).view({1, -1, 1});
  const torch::Tensor positions = view.positions.narrow(2, 0, view.budget);
  return highest_entries((positions * (7 + 4 * head) % 13).to(torch::kFloat32), view.window);
}

/// A view with memory of its own.
EvictionView copy_of(const EvictionView& view) {
  EvictionView copy = view;
  for (torch::Tensor* tensor : {&copy.keys, &copy.values, &copy.positions, &copy.window_statistics,
                                &copy.queries, &copy.cumulative, &copy.decayed}) {
    *tensor = tensor->clone();
  }
  return copy;
}

/// One head's cache as plain lists: the same attention and accumulators, entry by entry, in double.
struct NaiveHead {
  std::vector<std::int64_t> positions;
  std::vector<std::vector<double>> window_sum, cumulative, decayed;  // per entry, per query head of the group
};

}  // namespace

TEST_CASE("evicting cache: attention, accumulators and positions equal an entry-by-entry simulation",
          "[eviction]") {
  torch::manual_seed(11);
  const ModelShape shape = one_layer();
  const CacheSize size{8, 4};
  const std::int64_t length = 31, d = shape.head_dimension, group = shape.group();
  const torch::Tensor query = torch::randn({1, 4, length, d}) * 2, key = torch::randn({1, 2, length, d}),
                      value = torch::randn({1, 2, length, d});
  const std::int64_t chunk = GENERATE(1, 3, 4);
  std::vector<EvictionView> views;
  std::vector<torch::Tensor> choices;
  EvictingCache cache(
      shape, RowLayout{}, size, length,
      [&](const EvictionView& view) {
        views.push_back(copy_of(view));
        choices.push_back(by_position(view));
        return choices.back();
      },
      ModelOptions{});
  torch::Tensor output = torch::empty({1, 4, length, d});
  for (std::int64_t first = 0; first < length;) {
    const std::int64_t count = std::min({chunk, cache.room(), length - first});
    output.narrow(2, first, count)
        .copy_(cache.attend(0, query.narrow(2, first, count), key.narrow(2, first, count),
                            value.narrow(2, first, count)));
    first += count;
  }
  REQUIRE(static_cast<std::int64_t>(views.size()) == size.steps(length));

  const auto q = query.accessor<float, 4>(), k = key.accessor<float, 4>(), v = value.accessor<float, 4>();
  for (std::int64_t head = 0; head < 2; ++head) {
    NaiveHead naive;
    std::size_t step = 0;
    for (std::int64_t t = 0; t < length; ++t) {
      naive.positions.push_back(t);
      for (auto* sums : {&naive.window_sum, &naive.cumulative, &naive.decayed}) {
        sums->push_back(std::vector<double>(static_cast<std::size_t>(group), 0.0));
      }
      for (std::int64_t g = 0; g < group; ++g) {
        const std::int64_t h = head * group + g;
        std::vector<double> p;
        double total = 0;
        for (const std::int64_t position : naive.positions) {
          double dot = 0;
          for (std::int64_t c = 0; c < d; ++c)
            dot += static_cast<double>(q[0][h][t][c]) * static_cast<double>(k[0][head][position][c]);
          p.push_back(std::exp(dot / 2.0));
          total += p.back();
        }
        for (std::int64_t c = 0; c < d; ++c) {
          double expected = 0;
          for (std::size_t i = 0; i < p.size(); ++i)
            expected += p[i] / total * static_cast<double>(v[0][head][naive.positions[i]][c]);
          REQUIRE(output[0][h][t][c].item<double>() == Approx(expected).margin(1e-5));
        }
        for (std::size_t i = 0; i < p.size(); ++i)
          naive.window_sum[i][static_cast<std::size_t>(g)] += p[i] / total;
      }
      const std::int64_t seen = t + 1;
      const bool window_ends =
          seen == size.budget || (seen > size.budget && (seen - size.budget) % size.window == 0);
      if (!window_ends) continue;
      for (std::size_t i = 0; i < naive.positions.size(); ++i) {
        for (std::size_t g = 0; g < static_cast<std::size_t>(group); ++g) {
          naive.cumulative[i][g] += naive.window_sum[i][g];
          naive.decayed[i][g] = 0.9 * naive.decayed[i][g] + naive.window_sum[i][g];
        }
      }
      if (seen > size.budget && seen < length) {
        const EvictionView& view = views.at(step);
        REQUIRE(view.step == static_cast<std::int64_t>(step));
        for (std::size_t i = 0; i < naive.positions.size(); ++i) {
          const auto n = static_cast<std::int64_t>(i);
          REQUIRE(view.positions[0][head][n].item<std::int64_t>() == naive.positions[i]);
          for (std::int64_t g = 0; g < group; ++g) {
            const auto gi = static_cast<std::size_t>(g);
            REQUIRE(view.statistic(kernels::kSum)[0][head][g][n].item<double>() ==
                    Approx(naive.window_sum[i][gi]).margin(1e-5));
            REQUIRE(view.cumulative[0][head][g][n].item<double>() ==
                    Approx(naive.cumulative[i][gi]).margin(1e-5));
            REQUIRE(view.decayed[0][head][g][n].item<double>() == Approx(naive.decayed[i][gi]).margin(1e-5));
          }
        }
        std::vector<bool> gone(naive.positions.size(), false);
        for (std::int64_t w = 0; w < size.window; ++w)
          gone[static_cast<std::size_t>(choices[step][0][head][w].item<std::int64_t>())] = true;
        NaiveHead kept;
        for (std::size_t i = 0; i < gone.size(); ++i) {
          if (gone[i]) continue;
          kept.positions.push_back(naive.positions[i]);
          kept.window_sum.push_back(naive.window_sum[i]);
          kept.cumulative.push_back(naive.cumulative[i]);
          kept.decayed.push_back(naive.decayed[i]);
        }
        naive = kept;
        ++step;
      }
      for (auto& sums : naive.window_sum) sums.assign(sums.size(), 0.0);
    }
  }
}

TEST_CASE("evicting cache: an entry evicted twice, or tokens across a window's end, are refused",
          "[eviction]") {
  EvictingCache cache(
      one_layer(), RowLayout{}, {8, 4}, kEndless,
      [](const EvictionView& view) {
        return torch::zeros({1, 2, view.window}, torch::kInt64);
      },
      ModelOptions{});
  const auto feed = [&](std::int64_t tokens) {
    cache.attend(0, torch::randn({1, 4, tokens, 4}), torch::randn({1, 2, tokens, 4}),
                 torch::randn({1, 2, tokens, 4}));
  };
  REQUIRE_THROWS_WITH(feed(9), Catch::Contains("crosses the end of a window"));
  feed(8);
  REQUIRE_THROWS_WITH(feed(4), Catch::Contains("evicted an entry twice"));
  EvictingCache other(
      one_layer(), RowLayout{}, {8, 4}, kEndless,
      [](const EvictionView& view) {
        return torch::zeros({1, 2, view.window + 1}, torch::kInt64);
      },
      ModelOptions{});
  const auto random = [](std::int64_t heads, std::int64_t tokens) {
    return torch::randn({1, heads, tokens, 4});
  };
  other.attend(0, random(4, 8), random(2, 8), random(2, 8));
  REQUIRE_THROWS_WITH(other.attend(0, random(4, 4), random(2, 4), random(2, 4)),
                      Catch::Contains("evicted cache indices: expected shape [1, 2, 4]"));
}

TEST_CASE("evicting cache: bfloat16 keys and values round once, statistics stay float32", "[eviction]") {
  torch::manual_seed(21);
  const ModelShape shape = one_layer();
  const CacheSize size{8, 4};
  const torch::Tensor query = torch::randn({1, 4, 31, 4}), key = torch::randn({1, 2, 31, 4}),
                      value = torch::randn({1, 2, 31, 4});
  const auto run = [&](const torch::Tensor& keys, const torch::Tensor& values, torch::ScalarType type,
                       std::int64_t chunk) {
    ModelOptions options;
    options.cache_dtype = type;
    EvictingCache cache(shape, RowLayout{}, size, 31, by_position, options);
    CHECK(cache.bytes() == 2 * 2 * 12 * 4 * (type == torch::kBFloat16 ? 2 : 4));
    torch::Tensor output = torch::empty({1, 4, 31, 4});
    for (std::int64_t first = 0; first < 31;) {
      const std::int64_t count = std::min({chunk, cache.room(), 31 - first});
      output.narrow(2, first, count)
          .copy_(cache.attend(0, query.narrow(2, first, count), keys.narrow(2, first, count),
                              values.narrow(2, first, count)));
      first += count;
    }
    return output;
  };
  const auto rounded = [](const torch::Tensor& values) {
    return values.to(torch::kBFloat16).to(torch::kFloat32);
  };
  for (const std::int64_t chunk : {1, 4}) {  // decoding reads the cache as it lies
    const torch::Tensor stored = run(key, value, torch::kBFloat16, chunk);
    CHECK(torch::allclose(stored, run(rounded(key), rounded(value), torch::kFloat32, chunk), 1e-6, 1e-6));
    CHECK_FALSE(torch::allclose(stored, run(key, value, torch::kFloat32, chunk), 1e-6, 1e-6));
  }
}

TEST_CASE("evicted run: the full cache beside it gives the divergence of a run that evicts nothing it needs",
          "[eviction]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  torch::manual_seed(14);
  const torch::Tensor tokens = torch::randint(0, 97, {2, kLength}, torch::kInt64);
  const CacheSize size{16, 8};
  const auto oldest = [](const EvictionView& view) {
    return highest_entries(-view.positions.narrow(2, 0, view.budget).to(torch::kFloat32), view.window);
  };
  EvictedRun run(model, tokens, size, 3, oldest);
  FullRun full(model, tokens, size.window);
  EvictedPass pass(6, kLength, /*compared=*/true);
  EvictedWindow window;
  std::int64_t windows = 0, told = 0;
  while (!run.finished()) {
    told += run.tokens_of_next();
    REQUIRE(run.next(window, &full));
    CHECK((windows == 0) == (window.count == 0));
    pass.add(window);
    ++windows;
  }
  CHECK_FALSE(run.next(window, &full));
  CHECK(windows == 1 + (kLength - 24 + 7) / 8);
  CHECK(told == 2 * evicted_run_tokens(kLength, size, 3));
  // KL(full || evicted) and the losses, from logits of whole passes and torch's own functions.
  for (std::int64_t n = 0; n < 2; ++n) {
    FullCache cache(model.shape(), 1, kLength, model.options());
    const torch::Tensor states = model.forward(tokens.narrow(0, n, 1), torch::arange(kLength), cache)[0];
    const torch::Tensor reference = torch::log_softmax(model.logits(states), -1);
    CHECK(torch::allclose(full_pass(model, tokens[n], 16).loss.narrow(0, 1, kLength - 1),
                          -reference.narrow(0, 0, kLength - 1)
                               .gather(1, tokens[n].narrow(0, 1, kLength - 1).unsqueeze(1))
                               .squeeze(1),
                          1e-4, 1e-5));
    CHECK(pass.divergence[n].narrow(0, 25, kLength - 25).min().item<double>() > -1e-5);
    CHECK(pass.divergence[n].max().item<double>() > 1e-4);
    CHECK(torch::equal(pass.divergence[n], pass.divergence[n + 2]));
  }
  REQUIRE_THROWS_WITH(full.states(56, 8), Catch::Contains("full-KV states"));
}

TEST_CASE("evicted pass: a budget that holds the whole trace gives full KV's losses where tokens are scored",
          "[eviction]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  torch::manual_seed(12);
  const torch::Tensor tokens = torch::randint(0, 97, {kLength}, torch::kInt64);
  const FullPass full = full_pass(model, tokens, 16);
  const auto never = [](const EvictionView&) -> torch::Tensor {
    throw Error(ErrorKind::kInternal, "evicted");
  };
  CHECK(evicted_losses(model, tokens.unsqueeze(0), {64, 16}, 1, never).abs().sum().item<double>() == 0.0);
  // The last eviction would come after the last token: still nothing is evicted, and the last window is
  // scored.
  const torch::Tensor losses =
      evicted_losses(model, tokens.unsqueeze(0).narrow(1, 0, 48), {32, 16}, 1, never);
  CHECK(losses.abs().sum().item<double>() == 0.0);
}

TEST_CASE("evicted pass: evicting what is never attended again costs nothing; copies of a row are equal",
          "[eviction]") {
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  torch::manual_seed(13);
  const torch::Tensor tokens = torch::randint(0, 97, {2, kLength}, torch::kInt64);
  const auto oldest = [](const EvictionView& view) {
    return highest_entries(-view.positions.narrow(2, 0, view.budget).to(torch::kFloat32), view.window);
  };
  const torch::Tensor together = evicted_losses(model, tokens, {16, 8}, 3, oldest);
  REQUIRE(together.sizes() == torch::IntArrayRef({6, kLength}));
  for (std::int64_t n = 0; n < 2; ++n) {
    const torch::Tensor alone = evicted_losses(model, tokens.narrow(0, n, 1), {16, 8}, 1, oldest);
    for (std::int64_t copy = 0; copy < 3; ++copy)
      CHECK(torch::allclose(together[copy * 2 + n], alone[0], 1e-4, 1e-5));
    CHECK(together[n].narrow(0, 0, 25).abs().sum().item<double>() == 0.0);
    CHECK(together[n].narrow(0, 25, kLength - 25).min().item<double>() > 0.0);
  }
}

TEST_CASE("cache size: steps happen only before the trace ends", "[eviction]") {
  const CacheSize size{256, 64};
  CHECK(size.steps(320) == 0);
  CHECK(size.steps(321) == 1);
  CHECK(size.steps(1024) == 11);
  CHECK(size.seen_at_step(0) == 320);
  CHECK(size.first_scored() == 321);
  CHECK(size.steps(10) == 0);
}
