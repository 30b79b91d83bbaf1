// Plans and attention read from oracle files in parts, against whole traces.
#include "golden_eviction/recorded_plan.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <vector>

#include "golden_eviction/attention_strips.h"
#include "tests/base/temporary_folder.h"
#include "tests/golden_eviction/whole_attention.h"
#include "trainer/base/error.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// A trace whose file holds random attention.
RecordedTrace random_trace(const TemporaryFolder& folder, const std::string& id,
                           const OracleDimensions& dimensions, std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto tokens = static_cast<std::size_t>(dimensions.tokens);
  const OracleTrace facts{.trace_id = id,
                          .token_ids = std::vector<std::int32_t>(tokens),
                          .loss = std::vector<float>(tokens),
                          .entropy = std::vector<float>(tokens),
                          .completion = std::vector<std::uint8_t>(tokens)};
  RecordedTrace trace;
  trace.id = id;
  trace.file = folder / (id + ".h5");
  trace.dimensions = dimensions;
  trace.tokens = torch::zeros({dimensions.tokens}, torch::kInt64);
  OracleWriter writer(trace.file, dimensions, {}, facts, 0);
  for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
    // Few distinct values, so that ties are common.
    const torch::Tensor packed =
        (torch::randint(0, 9, {dimensions.kv_heads, dimensions.packed_elements()}).to(torch::kFloat32) / 64)
            .to(torch::kFloat16);
    writer.write_layer(layer, {static_cast<const std::uint16_t*>(packed.const_data_ptr()),
                               static_cast<std::size_t>(packed.numel())});
  }
  writer.finish();
  return trace;
}

constexpr CacheSize kSize{16, 8};

}  // namespace

TEST_CASE("recorded plan: plans of a file head by head are those of the whole attention", "[golden]") {
  const TemporaryFolder folder;
  for (const std::int64_t block : {4, 8}) {
    for (const std::int64_t length : {61, 64, 24, 25}) {
      INFO("block " << block << ", " << length << " tokens");
      const RecordedTrace trace = random_trace(folder, "train-000000", {3, 2, length, block}, 1);
      const std::vector<torch::Tensor> whole = whole_attention(trace, kSize.window);
      const RecordedEvictions evictions = golden_evictions(trace, kSize);
      REQUIRE(evictions.size() == whole.size());
      for (std::size_t layer = 0; layer < whole.size(); ++layer) {
        const GoldenPlan expected = golden_plan(whole[layer], kSize),
                         plan = golden_plan_of(OracleReader(trace.file), static_cast<std::int64_t>(layer),
                                               kSize);
        CHECK(torch::equal(plan.evicted, expected.evicted));
        CHECK(torch::equal(plan.candidates, expected.candidates));
        CHECK(torch::equal(plan.contribution, expected.contribution));
        CHECK(evictions[layer].scalar_type() == torch::kInt16);
        CHECK(torch::equal(evictions[layer].to(torch::kInt32), expected.evicted));
      }
    }
  }
}

TEST_CASE("recorded plan: positions beyond 16 bits are kept", "[golden]") {
  const TemporaryFolder folder;
  const CacheSize size{8192, 8192};
  for (const std::int64_t length : {32768, 32769}) {
    const RecordedTrace trace = random_trace(folder, "train-000000", {1, 1, length, 8192}, 2);
    const torch::Tensor evicted = golden_evictions(trace, size)[0];
    CHECK(evicted.scalar_type() == (length == 32768 ? torch::kInt16 : torch::kInt32));
    CHECK(torch::equal(evicted.to(torch::kInt32), golden_plan_of(OracleReader(trace.file), 0, size).evicted));
  }
}

TEST_CASE("recorded plan: the selector evicts each trace's own positions in every copy", "[golden]") {
  const TemporaryFolder folder;
  std::vector<RecordedEvictions> evictions;
  for (const std::uint64_t seed : {1U, 2U}) {
    evictions.push_back(golden_evictions(random_trace(folder, "train-000000", {2, 2, 61, 8}, seed), kSize));
  }
  const EvictionSelector select = golden_selector(evictions);
  for (std::int64_t step = 0; step < kSize.steps(61); ++step) {
    EvictionView view;
    view.layer = 1;
    view.step = step;
    view.budget = kSize.budget;
    view.window = kSize.window;
    view.keys = torch::zeros({4, 2, kSize.entries(), 1});
    // Caches that hold what is to go, and others.
    view.positions = torch::empty({4, 2, kSize.entries()}, torch::kInt64);
    for (std::int64_t row = 0; row < 4; ++row) {
      for (std::int64_t head = 0; head < 2; ++head) {
        const torch::Tensor gone =
            evictions[static_cast<std::size_t>(row % 2)][1][head][step].to(torch::kInt64);
        torch::Tensor others = torch::arange(kSize.seen_at_step(step));
        others = others.masked_select(torch::isin(others, gone).logical_not());
        const std::int64_t more = kSize.budget - kSize.window;
        const torch::Tensor held = std::get<0>(torch::cat({gone, others.narrow(0, 0, more)}).sort());
        view.positions[row][head].copy_(
            torch::cat({held, torch::arange(kSize.window) + kSize.seen_at_step(step)}));
      }
    }
    const torch::Tensor evicted = view.positions.gather(2, select(view));
    for (std::int64_t row = 0; row < 4; ++row) {
      const torch::Tensor expected = evictions[static_cast<std::size_t>(row % 2)][1].select(1, step);
      CHECK(torch::equal(evicted[row], expected.to(torch::kInt64)));
    }
  }
}

TEST_CASE("recorded plan: a window that is no multiple of the block and a damaged file are refused",
          "[golden]") {
  const TemporaryFolder folder;
  const RecordedTrace trace = random_trace(folder, "train-000000", {1, 2, 61, 8}, 3);
  REQUIRE_THROWS_WITH(golden_evictions(trace, {24, 12}), Catch::Contains("not a multiple"));
  REQUIRE_THROWS_WITH(golden_plan_of(OracleReader(trace.file), 0, {20, 8}),
                      Catch::Contains("must be a multiple of window"));
  REQUIRE_THROWS_WITH(AttentionStrips({&trace}, 12), Catch::Contains("not a multiple"));
  std::filesystem::resize_file(trace.file, 3000);
  REQUIRE_THROWS_WITH(golden_plan_of(OracleReader(trace.file), 0, kSize), Catch::Contains("train-000000.h5"));
  REQUIRE_THROWS_WITH(AttentionStrips({&trace}, 8), Catch::Contains("train-000000.h5"));
}

TEST_CASE("recorded attention: strips of any size give every window of every trace", "[golden]") {
  const TemporaryFolder folder;
  for (const std::int64_t block : {4, 8}) {
    const OracleDimensions dimensions{2, 3, 61, block};
    const RecordedTrace a = random_trace(folder, "a", dimensions, 4),
                        b = random_trace(folder, "b", dimensions, 5);
    const auto whole_a = whole_attention(a, 8), whole_b = whole_attention(b, 8);
    for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{4 * 3 * 2 * 100}, kStripBytes}) {
      AttentionStrips strips({&a, &b}, 8, bytes);
      // From the second on, layer by layer, as evictions ask; then back.
      for (const std::int64_t window : {1, 2, 3, 4, 5, 6, 7, 3, 0}) {
        for (std::int64_t layer = 0; layer < 2; ++layer) {
          const auto l = static_cast<std::size_t>(layer);
          const torch::Tensor expected =
              torch::stack({whole_a[l].select(1, window), whole_b[l].select(1, window)});
          CHECK(torch::equal(strips.window(layer, window), expected));
        }
      }
    }
  }
}
