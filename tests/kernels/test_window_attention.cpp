#include "trainer/kernels/window_attention.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "tests/kernels/window_case.h"
#include "trainer/base/error.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

/// Output and statistics by the kernel of `processor`, `together` queries at a time.
std::pair<torch::Tensor, torch::Tensor> by_kernel(const WindowCase& of, Processor processor,
                                                  std::int64_t together) {
  torch::Tensor statistics = of.statistics.clone();
  const torch::Tensor output = of.by(
      together, [&](const WindowInput& input) { return window_attention(input, statistics, processor); });
  return {output, statistics};
}

}  // namespace

TEST_CASE("window attention: output and statistics are those of torch's operators, for every processor") {
  const torch::ScalarType type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const bool has_sinks = GENERATE(false, true);
  for (const WindowShape& shape : window_shapes()) {
    WindowCase window(shape, type, 7, has_sinks);
    window.query = window.query.to(type).to(torch::kFloat32);  // as some processors' products do
    const auto [expected, expected_statistics] = window.exact();
    for (const Processor processor : usable_processors()) {
      INFO("processor " << static_cast<int>(processor) << ", d " << shape.width << ", W " << shape.window);
      const auto [output, statistics] = by_kernel(window, processor, shape.window);
      // A probability rounded to bfloat16 is off by 2^-9 of itself; values are below 6.
      const bool rounds = processor >= Processor::kAvx512Bfloat16 && type == torch::kBFloat16;
      REQUIRE(largest_difference(output, expected) < (rounds ? 6.0 / 512 : 2e-5));
      REQUIRE(largest_difference(statistics, expected_statistics) < 2e-5);
    }
  }
}

TEST_CASE("window attention: the best processor is one of this machine, and rounds nothing of float32") {
  const std::vector<Processor> usable = usable_processors();
  for (const torch::ScalarType products : {torch::kFloat32, torch::kBFloat16})
    REQUIRE(std::find(usable.begin(), usable.end(), best_processor(products)) != usable.end());
  REQUIRE(best_processor(torch::kFloat32) < Processor::kAvx512Bfloat16);
}

TEST_CASE("window attention: the setting that holds torch lower holds these kernels lower too") {
  const char* allowed = std::getenv("ATEN_CPU_CAPABILITY");  // the test kernels_avx2 sets it
  if (allowed == nullptr || std::string(allowed) != "avx2") return;
  REQUIRE(at::get_cpu_capability() == "AVX2");
  REQUIRE(usable_processors().back() <= Processor::kAvx2);
}

TEST_CASE("window attention: a sink far above all products leaves the entries nothing, one far below all") {
  WindowCase window({1, 2, 2, 32, 10, 6}, torch::kFloat32, 3);
  const auto alone = by_kernel(window, usable_processors().back(), 6);
  window.sinks = torch::tensor({1e4F, -1e4F, 1e4F, -1e4F});
  const auto beside = by_kernel(window, usable_processors().back(), 6);
  for (const std::int64_t head : {0, 2})
    REQUIRE(beside.first.select(1, head).abs().max().item<float>() == 0.0F);
  for (const std::int64_t head : {1, 3})
    REQUIRE(torch::allclose(beside.first.select(1, head), alone.first.select(1, head), 1e-5, 1e-6));
}

TEST_CASE("window attention: the same bits for any number of threads and of queries at a time") {
  const int threads = at::get_num_threads();
  for (const WindowShape& shape : window_shapes()) {
    const WindowCase window(shape, torch::kBFloat16, 11);
    for (const Processor processor : usable_processors()) {
      const auto [output, statistics] = by_kernel(window, processor, shape.window);
      for (const std::int64_t together : {1, 5, 6, 13}) {
        for (const int some : {1, 3}) {
          at::set_num_threads(some);
          const auto [again, statistics_again] = by_kernel(window, processor, together);
          INFO("d " << shape.width << ", W " << shape.window << ", " << together << " at a time");
          REQUIRE(torch::equal(output, again));
          REQUIRE(torch::equal(statistics, statistics_again));
        }
      }
    }
  }
  at::set_num_threads(threads);
}

TEST_CASE("window attention: queries may lie with gaps") {
  const WindowCase window({2, 3, 2, 64, 30, 9}, torch::kFloat32, 5);
  const auto [output, statistics] = by_kernel(window, usable_processors().back(), 9);
  for (const torch::Tensor& spread : {torch::empty({2, 9, 9, 64}).narrow(1, 1, 6).unflatten(1, {3, 2}),
                                      torch::empty({2, 9, 6, 64}).transpose(1, 2).unflatten(1, {3, 2}),
                                      torch::empty({2, 3, 4, 9, 64}).narrow(2, 0, 2)}) {
    WindowCase other = window;
    other.query = spread;
    other.query.copy_(window.query);
    const auto [same, same_statistics] = by_kernel(other, usable_processors().back(), 9);
    REQUIRE(torch::equal(output, same));
    REQUIRE(torch::equal(statistics, same_statistics));
  }
}

TEST_CASE("window attention: what does not fit is refused") {
  const WindowCase window({1, 2, 2, 32, 10, 6}, torch::kFloat32, 3);
  torch::Tensor statistics = window.statistics;
  const auto refused = [&](const auto& change) {
    WindowInput input = window.input(0, 6);
    change(input);
    REQUIRE_THROWS_AS(window_attention(input, statistics), Error);
  };
  WindowInput input = window.input(0, 6);
  input.first = 1;
  REQUIRE_THROWS_WITH(
      window_attention(input, statistics),
      Catch::Contains("queries [1, 2, 2, 6, 32] from 1 of a window of 6 do not fit 16 entries"));
  refused([](WindowInput& of) { of.live = 5; });
  refused([](WindowInput& of) { of.live = 22; });
  refused([](WindowInput& of) { of.first = -1; });
  refused([](WindowInput& of) { of.values = of.values.to(torch::kBFloat16); });
  refused([](WindowInput& of) { of.query = of.query.to(torch::kFloat64); });
  refused([](WindowInput& of) { of.query = of.query.narrow(1, 0, 1); });
  refused([](WindowInput& of) { of.query = of.query.transpose(3, 4); });
  refused([](WindowInput& of) { of.sinks = torch::zeros({3}); });
  statistics = statistics.narrow(4, 0, 16);
  refused([](WindowInput&) {});
  REQUIRE_FALSE(suits_window_attention(torch::kCPU, 257));
}

}  // namespace foresight::kernels
