#include <torch/types.h>

#include <complex>
#include <utility>

#include "tests/kernels/statistics_of.h"
#include "trainer/scorer/candidate_features.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;           // NOLINT(google-build-using-namespace): a test of this namespace
using namespace foresight::testing;  // NOLINT(google-build-using-namespace)

TEST_CASE("scorer: normalised features hold the sums that their names say", "[scorer]") {
  torch::manual_seed(1);
  const std::int64_t budget = 40, window = 40;
  EvictionView view;
  view.budget = budget;
  view.window = window;
  view.keys = torch::randn({1, 2, 80, 4});
  view.values = torch::randn({1, 2, 80, 4});
  const torch::Tensor of_window = torch::rand({1, 2, 3, window, 80});
  view.window_statistics = statistics_of(of_window);
  view.cumulative = torch::rand({1, 2, 3, 80});
  view.decayed = torch::rand({1, 2, 3, 80});
  const torch::Tensor features = candidate_features(view, ScorerFeatures::kNormalized);
  REQUIRE(features.sizes() == torch::IntArrayRef({1, 2, budget, 8 + 24}));
  const auto statistic = [&](std::int64_t block) {
    return features.narrow(3, 8 + 3 * block, 3).transpose(2, 3).expm1() / 100;
  };
  const torch::Tensor attention = of_window.narrow(4, 0, budget);
  const std::pair<std::int64_t, torch::Tensor> expected[] = {{0, std::get<0>(attention.max(3))},
                                                             {1, std::get<0>(attention.min(3))},
                                                             {2, attention.sum(3)},
                                                             {3, attention.narrow(3, 24, 16).sum(3)},
                                                             {4, attention.narrow(3, 32, 8).sum(3)},
                                                             {5, attention.narrow(3, 8, 32).sum(3)},
                                                             {6, view.cumulative.narrow(3, 0, budget)},
                                                             {7, view.decayed.narrow(3, 0, budget)}};
  for (const auto& [block, value] : expected) CHECK(torch::allclose(statistic(block), value, 1e-3, 1e-6));
  CHECK(torch::equal(features.narrow(3, 0, 4), view.keys.narrow(2, 0, budget)));
  CHECK(torch::equal(features.narrow(3, 4, 4), view.values.narrow(2, 0, budget)));
}

TEST_CASE("scorer: extended features are the normalised ones and what a loop over entries finds",
          "[scorer]") {
  torch::manual_seed(1);
  const std::int64_t rows = 2, heads = 2, group = 3, budget = 12, window = 9, d = 4,
                     entries = budget + window;
  EvictionView view;
  view.budget = budget;
  view.window = window;
  view.step = 3;  // budget + 4 windows of tokens were read: 48
  view.keys = torch::randn({rows, heads, entries, d});
  view.values = torch::randn({rows, heads, entries, d});
  view.positions = torch::arange(entries).mul(2).add(6).expand({rows, heads, entries}).contiguous();
  view.window_statistics = statistics_of(torch::rand({rows, heads, group, window, entries}) * 1e-3);
  view.cumulative = torch::rand({rows, heads, group, entries});
  view.decayed = torch::rand({rows, heads, group, entries});
  const torch::Tensor features = candidate_features(view, ScorerFeatures::kExtended);
  const std::int64_t known = 2 * d + 8 * group;
  REQUIRE(features.sizes() == torch::IntArrayRef({rows, heads, budget, known + 3 * group + 3}));
  CHECK(torch::equal(features.narrow(3, 0, known), candidate_features(view, ScorerFeatures::kNormalized)));
  const auto number = [](const torch::Tensor& of) { return of.item<double>(); };
  const auto statistic = [&](kernels::Statistic which, auto r, auto k, auto g, auto i) {
    return number(view.statistic(which)[r][k][g][i]);
  };
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t k = 0; k < heads; ++k) {
      for (std::int64_t i = 0; i < budget; ++i) {
        const double age = 48 - (6 + 2 * static_cast<double>(i));
        std::vector<double> expected;
        for (std::int64_t g = 0; g < group; ++g)
          expected.push_back(std::log1p(1e6 * statistic(kernels::kMaximum, r, k, g, i)));
        for (std::int64_t g = 0; g < group; ++g)
          expected.push_back(std::log1p(1e6 * statistic(kernels::kLast8, r, k, g, i)));
        for (std::int64_t g = 0; g < group; ++g)
          expected.push_back(std::log1p(1e6 * number(view.cumulative[r][k][g][i]) / age));
        expected.push_back(std::log(age));
        double likeness = -1;
        for (std::int64_t j = i + 1; j < entries; ++j) {
          const torch::Tensor a = view.keys[r][k][i], b = view.keys[r][k][j];
          likeness = std::max(likeness, number(a.dot(b) / (a.norm() * b.norm())));
        }
        expected.push_back(likeness);
        double around = 0;
        for (std::int64_t j = std::max<std::int64_t>(0, i - 3); j < std::min(budget, i + 4); ++j) {
          double sum = 0;
          for (std::int64_t g = 0; g < group; ++g) sum += statistic(kernels::kSum, r, k, g, j) / group;
          around = std::max(around, sum);
        }
        expected.push_back(std::log1p(100 * around));
        for (std::size_t n = 0; n < expected.size(); ++n) {
          CAPTURE(r, k, i, n);
          CHECK(number(features[r][k][i][known + static_cast<std::int64_t>(n)]) ==
                Approx(expected[n]).epsilon(1e-4).margin(1e-5));
        }
      }
    }
  }
}

TEST_CASE("scorer: relative features are the extended ones with keys turned to their distance", "[scorer]") {
  torch::manual_seed(2);
  const std::int64_t budget = 6, window = 3, d = 6, entries = budget + window;
  const double frequencies[] = {1.0, 0.05};  // of pairs (0, 2) and (1, 3); dimensions 4 and 5 are not turned
  EvictionView view;
  view.budget = budget;
  view.window = window;
  view.step = 3;  // 18 tokens were read: the newest has position 17
  view.positions = torch::tensor({0, 1, 4, 7, 8, 13, 15, 16, 17}, torch::kInt64).view({1, 1, entries});
  const torch::Tensor before = torch::randn({entries, d}, torch::kFloat64);
  const auto turned = [&](std::int64_t entry, double tokens) {
    std::vector<double> key(before[entry].data_ptr<double>(), before[entry].data_ptr<double>() + d);
    for (std::size_t pair = 0; pair < 2; ++pair) {
      const std::complex<double> from(key[pair], key[pair + 2]);
      const std::complex<double> to = from * std::polar(1.0, tokens * frequencies[pair]);
      key[pair] = to.real();
      key[pair + 2] = to.imag();
    }
    return torch::tensor(key, torch::kFloat64).to(torch::kFloat32);
  };
  std::vector<torch::Tensor> cached, relative;
  for (std::int64_t entry = 0; entry < entries; ++entry) {
    const auto position = view.positions[0][0][entry].item<double>();
    cached.push_back(turned(entry, position));
    relative.push_back(turned(entry, position - 17));
  }
  view.keys = torch::stack(cached).view({1, 1, entries, d});
  view.values = torch::randn({1, 1, entries, d});
  view.window_statistics = statistics_of(torch::rand({1, 1, 2, window, entries}) * 1e-3);
  view.cumulative = torch::rand({1, 1, 2, entries});
  view.decayed = torch::rand({1, 1, 2, entries});
  const torch::Tensor extended = candidate_features(view, ScorerFeatures::kExtended);
  CHECK(torch::equal(candidate_features(view, ScorerFeatures::kRelative), extended));  // of no rotation
  view.frequencies = torch::tensor({frequencies[0], frequencies[1]}, torch::kFloat32);
  const torch::Tensor features = candidate_features(view, ScorerFeatures::kRelative);
  CHECK(
      torch::equal(features.narrow(3, d, features.size(3) - d), extended.narrow(3, d, features.size(3) - d)));
  CHECK(torch::allclose(features[0][0].narrow(1, 0, d), torch::stack(relative).narrow(0, 0, budget), 1e-4,
                        1e-5));
  CHECK(torch::allclose(plain::candidate_features(view, ScorerFeatures::kRelative), features));
}
