// What the oracle records, against the definition: queries and keys attend in a full cache in parts of any
// size, and the mean of every block comes out.
#include "golden_eviction/attention_recorder.h"

#include <torch/types.h>
#include <torch/utils.h>

#include "tests/base/temporary_folder.h"
#include "tests/golden_eviction/naive_attention.h"
#include "trainer/base/error.h"
#include "trainer/eviction/full_cache.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

constexpr std::int64_t kLayers = 2, kHeads = 2, kGroup = 3, kDimension = 8;

struct Trace {
  std::vector<torch::Tensor> query, key;  // by layer: [H, L, d], [K, L, d]
};

Trace random_trace(std::int64_t length) {
  torch::manual_seed(static_cast<std::uint64_t>(length));
  Trace trace;
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    trace.query.push_back(torch::randn({kHeads * kGroup, length, kDimension}) * 2);
    trace.key.push_back(torch::randn({kHeads, length, kDimension}));
  }
  return trace;
}

struct Sizes {
  std::int64_t length, block, together, query_block, attention_bytes;
};

/// Runs the trace through a watched full cache, `together` tokens of every layer at a time.
std::vector<std::int64_t> record(const Trace& trace, const Sizes& sizes, AttentionRecorder& recorder) {
  ModelShape shape;
  shape.layers = kLayers;
  shape.query_heads = kHeads * kGroup;
  shape.kv_heads = kHeads;
  shape.head_dimension = kDimension;
  FullCache cache(shape, 1, sizes.length, {});
  cache.set_query_block(sizes.query_block, sizes.attention_bytes);
  std::vector<std::int64_t> parts;
  cache.set_observer([&](std::int64_t layer, const torch::Tensor& probabilities) {
    if (layer == 0) parts.push_back(probabilities.size(3));
    CHECK((probabilities.size(3) == 1 || probabilities.numel() * 4 <= sizes.attention_bytes));
    recorder.observe(layer, probabilities);
  });
  for (std::int64_t first = 0; first < sizes.length; first += sizes.together) {
    const std::int64_t count = std::min(sizes.together, sizes.length - first);
    for (std::int64_t layer = 0; layer < kLayers; ++layer) {
      const auto l = static_cast<std::size_t>(layer);
      const torch::Tensor key = trace.key[l].narrow(1, first, count).unsqueeze(0);
      cache.attend(layer, trace.query[l].narrow(1, first, count).unsqueeze(0), key, key);
    }
  }
  return parts;
}

/// The greatest distance of what was recorded from the definition, in float16's own steps.
double worst_steps(const Trace& trace, const Sizes& sizes, const AttentionRecorder& recorder) {
  double worst = 0;
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const auto l = static_cast<std::size_t>(layer);
    const std::vector<double> expected = naive_attention(trace.query[l], trace.key[l], sizes.block);
    const torch::Tensor packed = recorder.packed(layer).to(torch::kFloat64);
    const std::int64_t blocks = (sizes.length + sizes.block - 1) / sizes.block;
    for (std::int64_t head = 0; head < kHeads; ++head) {
      std::int64_t at = 0;
      for (std::int64_t block = 0; block < blocks; ++block) {
        for (std::int64_t j = 0; j < std::min((block + 1) * sizes.block, sizes.length); ++j, ++at) {
          const double value = expected[static_cast<std::size_t>((head * blocks + block) * sizes.length + j)];
          const double step = std::max(std::ldexp(value, -10), std::ldexp(1.0, -24));
          worst = std::max(worst, std::abs(packed[head][at].item<double>() - value) / step);
        }
      }
      REQUIRE(at == packed.size(1));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("oracle: attention that comes in parts of any size is recorded as the definition has it",
          "[golden]") {
  constexpr std::int64_t kUnlimited = kAttentionBytes, kFewQueries = 6 * 61 * 4 * 3;
  const TemporaryFolder folder;
  for (const Sizes& sizes : std::vector<Sizes>{{61, 8, 16, 16, kUnlimited},
                                               {61, 8, 16, 16, kFewQueries},
                                               {61, 8, 16, 16, 1},
                                               {64, 16, 32, 32, kFewQueries},
                                               {61, 20, 40, 20, kFewQueries},
                                               {61, 7, 28, 14, kFewQueries},
                                               {61, 1, 10, 10, kFewQueries},
                                               {61, 61, 61, 61, kFewQueries},
                                               {61, 64, 64, 64, kUnlimited},
                                               {5, 8, 8, 8, 1}}) {
    INFO(sizes.length << " tokens in blocks of " << sizes.block << ", " << sizes.query_block
                      << " queries at once within " << sizes.attention_bytes << " bytes");
    const Trace trace = random_trace(sizes.length);
    AttentionRecorder recorder({kLayers, kHeads, sizes.length, sizes.block}, folder / "train-000000.h5");
    const std::vector<std::int64_t> parts = record(trace, sizes, recorder);
    const std::int64_t undivided = (sizes.length + sizes.query_block - 1) / sizes.query_block;
    const bool is_divided = static_cast<std::int64_t>(parts.size()) > undivided;
    CHECK(is_divided == (sizes.attention_bytes != kUnlimited));
    CHECK(worst_steps(trace, sizes, recorder) < 0.75);  // half a step of rounding, and float32's own
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("oracle: whole blocks are recorded bit for bit as their mean over the group, then the queries",
          "[golden]") {
  torch::manual_seed(2);
  const TemporaryFolder folder;
  AttentionRecorder recorder({1, kHeads, 22, 8}, folder / "a.h5");
  const torch::Tensor first = torch::rand({1, kHeads, kGroup, 16, 16}),
                      second = torch::rand({1, kHeads, kGroup, 6, 22});
  recorder.observe(0, first);
  recorder.observe(0, second);
  const torch::Tensor packed = recorder.packed(0);
  const auto mean_of = [](const torch::Tensor& part, std::int64_t start, std::int64_t count) {
    return part[0].mean(1).narrow(1, start, count).mean(1).to(torch::kFloat16);
  };
  CHECK(torch::equal(packed.narrow(1, 0, 8), mean_of(first, 0, 8).narrow(1, 0, 8)));
  CHECK(torch::equal(packed.narrow(1, 8, 16), mean_of(first, 8, 8)));
  CHECK(torch::equal(packed.narrow(1, 24, 22), mean_of(second, 0, 6)));
}

TEST_CASE("oracle: attention out of turn and layers that are not whole are the caller's fault", "[golden]") {
  const TemporaryFolder folder;
  AttentionRecorder recorder({2, 1, 10, 4}, folder / "a.h5");
  const auto queries = [](std::int64_t count, std::int64_t entries) {
    return torch::rand({1, 1, 2, count, entries});
  };
  recorder.observe(0, queries(3, 3));
  REQUIRE_THROWS_WITH(recorder.observe(1, queries(3, 3)), Catch::Contains("of layer 1 do not follow"));
  REQUIRE_THROWS_WITH(recorder.observe(0, queries(3, 7)), Catch::Contains("do not follow the 3 before"));
  REQUIRE_THROWS_WITH(recorder.observe(0, queries(8, 11)), Catch::Contains("do not follow the 3 before"));
  REQUIRE_THROWS_WITH(recorder.observe(0, torch::rand({1, 2, 2, 1, 4})),
                      Catch::Contains("watched attention: expected shape"));
  recorder.observe(0, queries(5, 8));
  REQUIRE_THROWS_WITH(recorder.packed(0), Catch::Contains("layer 0 saw 8 of 10 queries"));
}

TEST_CASE("oracle: a disk without room for the attention is refused before the pass", "[golden]") {
  const TemporaryFolder folder;
  try {
    AttentionRecorder recorder({4096, 4096, std::int64_t{1} << 20, 1024}, folder / "a.h5");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kResource);
    CHECK_THAT(error.what(), Catch::Contains("a.attention: it takes") && Catch::Contains("free disk space"));
  }
}
