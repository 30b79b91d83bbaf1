#include "trainer/kernels/full_attention.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/window_case.h"
#include "trainer/base/error.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

/// R, K, g, d, entries before the queries, T.
struct FullShape {
  std::int64_t rows, kv_heads, group, width, before, tokens;
};

/// Odd ones: few queries over several chunks and many of them, in whole tiles and beside them, head
/// dimensions that fill no register and that no word of two divides.
std::vector<FullShape> full_shapes() {
  return {{1, 1, 1, 32, 0, 1},    {2, 3, 3, 64, 1100, 1}, {1, 2, 16, 128, 511, 2},
          {1, 2, 4, 80, 37, 21},  {2, 1, 3, 64, 0, 300},  {1, 2, 1, 256, 130, 70},
          {1, 1, 5, 33, 90, 140}, {3, 1, 7, 4, 0, 130},   {1, 1, 2, 40, 640, 7}};
}

/// Random queries and a cache with room for entries that hold no numbers.
struct FullCase {
  FullInput input;

  FullCase(const FullShape& of, torch::ScalarType type, bool has_sinks, bool has_padding) {
    torch::manual_seed(5);
    constexpr std::int64_t kSpare = 5;
    const std::int64_t live = of.before + of.tokens, capacity = live + kSpare;
    input.query = 2 * torch::randn({of.rows, of.kv_heads, of.group, of.tokens, of.width});
    input.query = input.query.to(type).to(torch::kFloat32);  // as some processors' products do
    for (torch::Tensor* buffer : {&input.keys, &input.values}) {
      *buffer = torch::randn({of.rows, of.kv_heads, capacity, of.width}).to(type);
      buffer->narrow(2, live, kSpare).fill_(std::numeric_limits<float>::quiet_NaN());
    }
    input.live = live;
    if (has_sinks) input.sinks = 3 * torch::randn({of.kv_heads * of.group});
    if (has_padding) {
      // Some of the first row, all of the second, more than there is of the third.
      input.hidden =
          torch::tensor({std::min<std::int64_t>(3, live - 1), live, live + 9}).narrow(0, 0, of.rows);
    }
  }

  /// Probabilities [R, K, g, T, n] from torch's operators in float64; zeros of a query that sees nothing.
  torch::Tensor probabilities() const {
    const torch::Tensor query = input.query.to(torch::kFloat64);
    const std::int64_t rows = query.size(0), tokens = query.size(3), live = input.live;
    const torch::Tensor keys = input.keys.narrow(2, 0, live).to(torch::kFloat64).unsqueeze(2);
    torch::Tensor powers =
        (torch::matmul(query, keys.transpose(3, 4)) / std::sqrt(static_cast<double>(query.size(4)))).exp();
    powers.masked_fill_(torch::ones({tokens, live}, torch::kBool).triu(live - tokens + 1), 0.0);
    if (input.hidden.defined()) {
      const torch::Tensor padding = torch::arange(live).unsqueeze(0) < input.hidden.unsqueeze(1);
      powers.masked_fill_(padding.view({rows, 1, 1, 1, live}), 0.0);
    }
    torch::Tensor sums = powers.sum(-1, true);
    if (input.sinks.defined())
      sums = sums + input.sinks.to(torch::kFloat64).exp().view({1, query.size(1), query.size(2), 1, 1});
    return powers / sums.clamp_min(std::numeric_limits<double>::min());
  }

  torch::Tensor output(const torch::Tensor& probabilities) const {
    const torch::Tensor values = input.values.narrow(2, 0, input.live).to(torch::kFloat64).unsqueeze(2);
    return torch::matmul(probabilities, values).flatten(1, 2);
  }
};

/// A probability rounded to bfloat16 is off by 2^-9 of itself; values are below 6.
double tolerance(Processor processor, torch::ScalarType type) {
  return processor >= Processor::kAvx512Bfloat16 && type == torch::kBFloat16 ? 6.0 / 512 : 2e-5;
}

}  // namespace

TEST_CASE("full attention: few queries and many get what torch's operators give, for every processor") {
  const torch::ScalarType type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool has_sinks = GENERATE(false, true), has_padding = GENERATE(false, true);
  for (const FullShape& shape : full_shapes()) {
    const FullCase full(shape, type, has_sinks, has_padding);
    const torch::Tensor expected = full.output(full.probabilities());
    for (const Processor processor : usable_processors()) {
      INFO("processor " << static_cast<int>(processor) << ", d " << shape.width << ", T " << shape.tokens);
      const torch::Tensor found = full_attention(full.input, processor);
      REQUIRE(largest_difference(found, expected) < tolerance(processor, type));
      REQUIRE(found.transpose(1, 2).is_contiguous());
    }
  }
}

TEST_CASE("full attention: the means of windows are those of the probabilities, for every processor") {
  const torch::ScalarType type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool has_sinks = GENERATE(false, true);
  for (const FullShape& shape : full_shapes()) {
    const FullCase full(shape, type, has_sinks, false);
    const torch::Tensor probabilities = full.probabilities();
    for (const std::int64_t window : {std::int64_t{1}, std::int64_t{32}, std::int64_t{50}}) {
      for (const Processor processor : usable_processors()) {
        INFO("processor " << static_cast<int>(processor) << ", d " << shape.width << ", T " << shape.tokens);
        const WindowMeans found = attention_means(full.input, window, processor);
        REQUIRE(largest_difference(found.output, full.output(probabilities)) < tolerance(processor, type));
        REQUIRE(found.means.size(2) == (shape.tokens + window - 1) / window);
        for (std::int64_t first = 0; first < shape.tokens; first += window) {
          const std::int64_t count = std::min(window, shape.tokens - first),
                             seen = shape.before + first + count;
          const torch::Tensor mean = probabilities.narrow(3, first, count).narrow(4, 0, seen).mean({2, 3});
          REQUIRE(largest_difference(found.means.select(2, first / window).narrow(2, 0, seen), mean) < 2e-5);
        }
      }
    }
  }
}

TEST_CASE("full attention: the same bits for any number of threads, and of queries beyond a few") {
  const int threads = at::get_num_threads();
  for (const FullShape& shape : full_shapes()) {
    const FullCase full(shape, torch::kBFloat16, true, true);
    for (const Processor processor : usable_processors()) {
      at::set_num_threads(1);
      const torch::Tensor alone = full_attention(full.input, processor);
      at::set_num_threads(3);
      REQUIRE(torch::equal(alone, full_attention(full.input, processor)));
      const std::int64_t most = shape.tokens / 2;  // the first half of the queries, as a pass of its own
      if (most * shape.group <= kFewQueries) continue;
      FullInput half = full.input;
      half.query = half.query.narrow(3, 0, most);
      half.live -= shape.tokens - most;
      REQUIRE(torch::equal(full_attention(half, processor), alone.narrow(2, 0, most)));
    }
  }
  at::set_num_threads(threads);
}

TEST_CASE("full attention: heads of the queries that lie apart are those that lie side by side") {
  FullCase full({2, 2, 3, 32, 20, 9}, torch::kFloat32, false, false);
  const torch::Tensor expected = full_attention(full.input);
  full.input.query = full.input.query.permute({0, 3, 1, 2, 4}).contiguous().permute({0, 2, 3, 1, 4});
  REQUIRE(torch::equal(full_attention(full.input), expected));
  full.input.query = torch::cat({full.input.query, full.input.query}, 2).narrow(2, 0, 3);
  REQUIRE(torch::equal(full_attention(full.input), expected));
}

TEST_CASE("full attention: what is no number stays none") {
  FullCase full({1, 1, 2, 32, 700, 2}, torch::kFloat32, false, false);
  full.input.keys.select(2, 3).fill_(std::numeric_limits<float>::quiet_NaN());
  REQUIRE(full_attention(full.input).isnan().all().item<bool>());
}

TEST_CASE("full attention: queries whose products are all minus infinity get no number, few and many") {
  for (const std::int64_t tokens : {3, 90}) {
    FullCase full({1, 1, 2, 32, 0, tokens}, torch::kFloat32, false, false);
    full.input.query.fill_(1.0);
    full.input.keys.select(2, 0).fill_(-std::numeric_limits<float>::infinity());
    const torch::Tensor found = full_attention(full.input);
    REQUIRE(found.select(2, 0).isnan().all().item<bool>());
    REQUIRE(found.narrow(2, 1, tokens - 1).isfinite().all().item<bool>());
  }
}

TEST_CASE(
    "full attention: it suits AVX-512, but not a single float32 query, nor many of a width that no tiles "
    "fit") {
  const auto suits = [](std::int64_t queries, torch::ScalarType products, std::int64_t width = 64) {
    return suits_full_attention(torch::kCPU, queries, width, products);
  };
  const bool is_wide = usable_processors().back() >= Processor::kAvx512;
  REQUIRE(suits(kFewQueries, torch::kBFloat16) == is_wide);
  REQUIRE(suits(kFewQueries + 1, torch::kFloat32) == is_wide);
  REQUIRE(suits(kFewQueries + 1, torch::kBFloat16) == is_wide);
  REQUIRE(suits(1, torch::kBFloat16) == is_wide);
  REQUIRE(suits(kFewQueries + 1, torch::kBFloat16, 80) ==
          (is_wide && usable_processors().back() != Processor::kAmx));
  REQUIRE_FALSE(suits(1, torch::kFloat32));
  REQUIRE_FALSE(suits(2, torch::kFloat32, kLargestWidth + 1));
  REQUIRE_FALSE(suits_attention_means(torch::kCPU, kLargestWidth + 1));
}

TEST_CASE("full attention: shapes that do not fit are refused") {
  const FullCase full({1, 2, 2, 16, 10, 4}, torch::kFloat32, false, false);
  const auto refused = [&](const auto& change) {
    FullInput input = full.input;
    change(input);
    REQUIRE_THROWS_AS(full_attention(input), Error);
  };
  refused([](FullInput& input) { input.live = 3; });
  refused([](FullInput& input) { input.live = input.keys.size(2) + 1; });
  refused([](FullInput& input) { input.keys = input.keys.to(torch::kBFloat16); });
  refused([](FullInput& input) { input.values = input.values.narrow(2, 0, 12); });
  refused([](FullInput& input) { input.hidden = torch::zeros({2}, torch::kInt64); });
  refused([](FullInput& input) { input.sinks = torch::zeros({3}); });
  refused([](FullInput& input) { input.query = input.query.to(torch::kFloat64); });
  REQUIRE_THROWS_AS(attention_means(full.input, 0), Error);
}

}  // namespace foresight::kernels
