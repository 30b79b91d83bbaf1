// The kernel of GPUs, played on the host.
#include "trainer/kernels/window_block.h"

#include "tests/kernels/play_kernel.h"
#include "tests/kernels/window_case.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

struct Played {
  torch::Tensor output, statistics;
};

/// The whole window, `together` queries at a time.
Played played(const WindowCase& of, std::int64_t together, std::uint64_t seed) {
  Played result{.output = {}, .statistics = of.statistics.clone()};
  result.output = of.by(together, [&](const WindowInput& input) {
    const torch::Tensor& query = input.query;
    torch::Tensor output =
        torch::full({query.size(0), query.size(3), query.size(1) * query.size(2), query.size(4)},
                    std::numeric_limits<float>::quiet_NaN());
    const WindowWork work = describe(input, output, result.statistics);
    play_window(work, seed);
    return output.transpose(1, 2);
  });
  return result;
}

}  // namespace

TEST_CASE("window block: a GPU's threads in any order compute what torch's operators do") {
  const torch::ScalarType type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool has_sinks = GENERATE(false, true);
  for (const WindowShape& shape : window_shapes()) {
    INFO("d " << shape.width << ", W " << shape.window << ", " << torch::toString(type));
    WindowCase window(shape, type, 17, has_sinks);
    window.query = window.query.to(type).to(torch::kFloat32);  // as the kernel's products do
    const auto [expected, expected_statistics] = window.exact();
    const Played result = played(window, shape.window, 1);
    // A probability rounded to bfloat16 is off by 2^-9 of itself; values are below 6.
    REQUIRE(largest_difference(result.output, expected) < (type == torch::kBFloat16 ? 6.0 / 512 : 2e-5));
    REQUIRE(largest_difference(result.statistics, expected_statistics) < 3e-5);
    const Played again = played(window, shape.window, 2);
    REQUIRE(torch::equal(again.output, result.output));
    REQUIRE(torch::equal(again.statistics, result.statistics));
  }
}

TEST_CASE("window block: statistics go on where a call before stopped") {
  const WindowCase window({1, 2, 2, 48, 70, 75}, torch::kFloat32, 23);
  const Played whole = played(window, 75, 1), parts = played(window, 29, 1);
  REQUIRE(largest_difference(parts.output, whole.output) < 1e-5);
  REQUIRE(largest_difference(parts.statistics, whole.statistics) < 2e-5);
}

TEST_CASE("window block: windows of one launch are those of one launch each") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const std::int64_t windows = 3, tokens = 21, before = 37;
  WindowCase of({2, 2, 3, 40, before, windows * tokens}, type, 31);
  const std::int64_t rows = 2, kv_heads = 2, group = 3, capacity = of.keys.size(2);
  torch::Tensor output = torch::full({rows, windows * tokens, kv_heads * group, 40}, -7.0);
  torch::Tensor statistics = torch::full({rows, windows, kv_heads, group, kStatistics, capacity}, -1.0);
  WindowWork work = describe(of.input(0, windows * tokens), output, statistics);
  work.windows = windows;
  work.tokens = work.window = tokens;
  play_window(work, 1);
  for (std::int64_t window = 0; window < windows; ++window) {
    WindowInput own = of.input(window * tokens, tokens);
    own.first = 0;
    own.window = tokens;
    torch::Tensor single = torch::full({rows, tokens, kv_heads * group, 40}, -7.0),
                  single_statistics = of.statistics.clone();
    const WindowWork alone = describe(own, single, single_statistics);
    play_window(alone, 1);
    CHECK(torch::equal(output.narrow(1, window * tokens, tokens), single));
    CHECK(torch::equal(statistics.select(1, window), single_statistics));
  }
}

TEST_CASE("played grid: a barrier that some threads never reach, and memory that nobody wrote, show") {
  REQUIRE_THROWS_WITH(play_grid(1, 64, 4, 1,
                                [](PlayedBlock& block) {
                                  if (block.thread() < 40) block.barrier();
                                }),
                      Catch::Contains("others never reach"));
  float unwritten = 0;
  play_grid(1, 32, 4, 1, [&](PlayedBlock& block) {
    if (block.thread() == 0) unwritten = *static_cast<float*>(block.shared());
  });
  REQUIRE(std::isnan(unwritten));
}

TEST_CASE("played grid: a missing barrier shows in another order of the threads") {
  const auto last_sum = [](std::uint64_t seed, bool waits) {
    float sum = 0;
    play_grid(1, 32, 32 * sizeof(float), seed, [&](PlayedBlock& block) {
      auto* const shared = static_cast<float*>(block.shared());
      shared[block.thread()] = static_cast<float>(block.thread());
      if (waits) block.barrier();
      if (block.thread() == 7) sum = shared[(block.thread() + 1) % 32];
      CHECK(block.exchange(static_cast<float>(block.thread()), 5) == static_cast<float>(block.thread() ^ 5));
    });
    return sum;
  };
  bool differs = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    REQUIRE(last_sum(seed, true) == 8.0F);
    differs = differs || !(last_sum(seed, false) == 8.0F);
  }
  REQUIRE(differs);
}

}  // namespace foresight::kernels
