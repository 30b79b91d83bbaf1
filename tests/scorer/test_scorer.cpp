#include <torch/types.h>
#include <torch/utils.h>

#include <fstream>

#include "tests/kernels/statistics_of.h"
#include "tests/tensors.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/version.h"
#include "trainer/eviction/evicting_cache.h"
#include "trainer/model/tensor_io.h"
#include "trainer/scorer/candidate_features.h"
#include "trainer/scorer/scorer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;           // NOLINT(google-build-using-namespace): a test of this namespace
using namespace foresight::testing;  // NOLINT(google-build-using-namespace)

namespace {

/// The vectors are compared to 1e-5 relative with a floor of 1e-7 of their scale.
constexpr double kRelative = 1e-5, kAbsolute = 1e-7;
// A score is a sum of float32 terms of size 1 that may cancel: the fixture's own are up to 4e-7 from
// float64's, and processors sum in different orders.
constexpr double kScoreAbsolute = 1e-6;

std::filesystem::path temporary_file(const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path() / "foresight_test_scorer";
  std::filesystem::create_directories(folder);
  return folder / name;
}

/// A scorer of one layer with the vectors' weights, through a file in the released layout.
Scorer released_scorer(const std::map<std::string, torch::Tensor>& vectors, const ModelShape& shape) {
  std::vector<TensorToWrite> tensors;
  for (const char* name : {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}) {
    tensors.push_back(tensor_to_write("model.layers.0.self_attn.judge_model." + std::string(name),
                                      vectors.at("judge_model." + std::string(name))));
  }
  const torch::Tensor norm = torch::ones({3});
  tensors.push_back(tensor_to_write("model.layers.0.self_attn.judge_model.feature_norm.weight", norm));
  const auto file = temporary_file("released.safetensors");
  write_safetensors(file, tensors, {});
  return Scorer::load(file, shape);
}

ModelShape shape_of(const std::map<std::string, torch::Tensor>& vectors) {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = vectors.at("q").size(1);
  shape.kv_heads = vectors.at("k").size(1);
  shape.head_dimension = vectors.at("q").size(3);
  return shape;
}

/// A view of one row, one KV head, one query head; budget 4, window 2, head dimension 2.
EvictionView small_view(const torch::Tensor& attention) {
  const torch::Tensor keys = torch::ones({1, 1, 6, 2}), sums = torch::zeros({1, 1, 1, 6});
  return {.layer = 0,
          .step = 0,
          .budget = 4,
          .window = 2,
          .keys = keys,
          .values = keys,
          .positions = torch::arange(6).view({1, 1, 6}),
          .window_statistics = statistics_of(attention),
          .queries = {},
          .rule = {},
          .frequencies = {},
          .cumulative = sums,
          .decayed = sums,
          .prompt_tokens = {},
          .protected_entries = {}};
}

}  // namespace

TEST_CASE("scorer: tensors of other shapes, and metadata that count nothing, are refused", "[scorer]") {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = shape.kv_heads = 1;
  shape.head_dimension = 2;
  Scorer scorer = Scorer::random(shape, {}, RandomStream(1, "test"));
  const std::int64_t inputs = 2 * 2 + kStatisticsPerHead;
  CHECK_THROWS_WITH(
      candidate_features(small_view(torch::zeros({1, 1, 1, 2, 5})), ScorerFeatures::kNormalized),
      Catch::Contains("window statistics: expected shape"));
  CHECK(candidate_features(small_view(torch::zeros({1, 1, 1, 2, 6})), ScorerFeatures::kNormalized).sizes() ==
        torch::IntArrayRef({1, 1, 4, inputs}));
  CHECK_THROWS_WITH(scorer.score(0, torch::ones({1, 1, 4, inputs + 1})),
                    Catch::Contains("scorer fc1.weight for these features"));
  CHECK_THROWS_WITH(scorer.set_normalisation(0, torch::ones({1, inputs + 1}), torch::ones({1, inputs})),
                    Catch::Contains("feature mean"));
  CHECK_THROWS_WITH(scorer.set_normalisation(0, torch::ones({1, inputs}), torch::ones({2, inputs})),
                    Catch::Contains("feature deviation"));
  const auto file = temporary_file("counts.safetensors");
  write_safetensors(file, {tensor_to_write("x", torch::ones({1}))},
                    {{"format", "foresight.scorer.1"}, {"budget", "many"}});
  CHECK_THROWS_WITH(Scorer::load(file, shape), Catch::Contains("counts.safetensors: metadata 'budget'") &&
                                                   Catch::Contains("got 'many'"));
}

TEST_CASE("scorer: a flipped byte of its file is noticed, or changes nothing that is read", "[scorer]") {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = shape.kv_heads = 1;
  shape.head_dimension = 2;
  ScorerFacts facts;
  facts.budget = 64;
  facts.config = "output: x\n";
  const Scorer scorer = Scorer::random(shape, facts, RandomStream(1, "test"));
  const auto file = temporary_file("flipped.safetensors");
  scorer.save(file);
  const std::string whole = read_file(file);
  std::int64_t noticed = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    std::ofstream(file, std::ios::binary) << damaged;
    try {
      const Scorer loaded = Scorer::load(file, shape);
      INFO("byte " << at);
      CHECK(loaded.facts().budget == 64);
      CHECK(loaded.facts().config == facts.config);
      for (std::size_t i = 0; i < scorer.parameters().size(); ++i)
        CHECK(torch::equal(loaded.parameters()[i], scorer.parameters()[i]));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInput);
      ++noticed;
    }
  }
  // All but the padding of the header, which may be any white space.
  CHECK(noticed >= static_cast<std::int64_t>(whole.size()) - 8);
}

TEST_CASE("scorer: a file written before digests were is read without one", "[scorer]") {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = shape.kv_heads = 1;
  shape.head_dimension = 2;
  const Scorer scorer = Scorer::random(shape, {}, RandomStream(1, "test"));
  const auto file = temporary_file("older.safetensors");
  scorer.save(file);
  CHECK(SafetensorsFile(file).metadata().at("code_version") == code_version());
  const auto without_digest = [&](const std::string& format) {
    const SafetensorsFile stored(file);
    auto metadata = stored.metadata();
    metadata.erase("content_sha256");
    metadata["format"] = format;
    std::vector<TensorToWrite> list;
    for (const auto& [name, view] : stored.tensors())
      list.push_back({name, view.dtype, view.shape, view.bytes});
    const auto copy = temporary_file("copy.safetensors");
    write_safetensors(copy, list, metadata);
    return Scorer::load(copy, shape);
  };
  CHECK(torch::equal(without_digest("foresight.scorer.1").parameters()[0], scorer.parameters()[0]));
  CHECK_THROWS_WITH(without_digest("foresight.scorer.2"), Catch::Contains("'content_sha256' is missing"));
}

TEST_CASE("scorer: features, scores and accumulators equal the released code's, step by step", "[scorer]") {
  const std::string name = GENERATE("scorer_gqa3_B128_W32", "scorer_mha_B64_W16");
  const auto vectors = load_reference_vectors(name);
  const ModelShape shape = shape_of(vectors);
  const torch::Tensor drop = vectors.at("drop_index").to(torch::kInt64);  // [S, K, W]
  const std::int64_t window = drop.size(2), budget = vectors.at("score").size(2), steps = drop.size(0);
  const Scorer scorer = released_scorer(vectors, shape);
  REQUIRE(scorer.facts().features == ScorerFeatures::kReleased);
  std::int64_t seen_steps = 0;
  EvictingCache cache(
      shape, RowLayout{}, {budget, window}, kEndless,
      [&](const EvictionView& view) {
        const std::int64_t s = view.step;
        const torch::Tensor features = candidate_features(view, ScorerFeatures::kReleased);
        CHECK(all_close(features[0], vectors.at("features")[s], kRelative, kAbsolute));
        CHECK(all_close(scorer.score(0, features)[0].detach(), vectors.at("score")[s], kRelative,
                        kScoreAbsolute));
        if (s > 0) {
          // after step s - 1: kept entries and the chunk that followed them
          CHECK(all_close(view.keys[0].narrow(1, 0, budget), vectors.at("k_after")[s - 1], kRelative,
                          kAbsolute));
        }
        ++seen_steps;
        return drop[s].unsqueeze(0);
      },
      ModelOptions{});
  const std::int64_t length = budget + steps * window;
  for (std::int64_t first = 0; first < length;) {
    const std::int64_t count = std::min(cache.room(), length - first);
    cache.attend(0, vectors.at("q").narrow(2, first, count), vectors.at("k").narrow(2, first, count),
                 vectors.at("v").narrow(2, first, count));
    first += count;
  }
  REQUIRE(seen_steps == steps);
  std::filesystem::remove_all(temporary_file("").parent_path());
}

TEST_CASE("scorer: a file of extended features has more inputs, and is no file of normalised ones",
          "[scorer]") {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = shape.kv_heads = 1;
  shape.head_dimension = 2;
  ScorerFacts facts;
  facts.features = ScorerFeatures::kExtended;
  const Scorer scorer = Scorer::random(shape, facts, RandomStream(1, "test"));
  const auto file = temporary_file("extended.safetensors");
  scorer.save(file);
  const Scorer loaded = Scorer::load(file, shape);
  CHECK(loaded.facts().features == ScorerFeatures::kExtended);
  CHECK(loaded.normalisation(0).mean.sizes() == torch::IntArrayRef({1, 2 * 2 + 8 + 6}));
  auto tensors = std::vector<TensorToWrite>();
  const SafetensorsFile stored(file);
  for (const auto& [name, view] : stored.tensors())
    tensors.push_back(tensor_to_write(name, view_tensor(view)));
  auto metadata = stored.metadata();
  metadata["features"] = "normalized";
  metadata.erase("content_sha256");
  metadata["format"] = kScorerFormatWithoutDigest;
  write_safetensors(temporary_file("renamed.safetensors"), tensors, metadata);
  CHECK_THROWS_WITH(Scorer::load(temporary_file("renamed.safetensors"), shape),
                    Catch::Contains("fc1.weight") && Catch::Contains("renamed.safetensors"));
}

TEST_CASE("scorer: of a model some of whose layers do not evict, it is kept by the model's numbers",
          "[scorer]") {
  ModelShape shape;
  shape.layers = 3;
  shape.query_heads = 6;
  shape.kv_heads = 2;
  shape.head_dimension = 4;
  shape.kinds.resize(3);
  shape.kinds[1].attention = AttentionKind::kSliding;
  Scorer scorer = Scorer::random(shape, {}, RandomStream(5, "test"));
  CHECK(scorer.layers() == 2);
  CHECK((scorer.layer_number(0) == 0 && scorer.layer_number(1) == 2));
  const auto file = temporary_file("some.safetensors");
  scorer.save(file);
  {
    const SafetensorsFile stored(file);
    CHECK(stored.metadata().at("format") == "foresight.scorer.3");
    CHECK(stored.metadata().at("evicting_layers") == "0 2");
    CHECK(stored.contains("model.layers.2.self_attn.judge_model.fc1.weight"));
    CHECK_FALSE(stored.contains("model.layers.1.self_attn.judge_model.fc1.weight"));
  }
  const torch::Tensor features = torch::randn({3, 2, 10, 32});
  for (const Scorer& each : {Scorer::load(file, shape), Scorer::load(file, scorer.shape()), scorer.clone()}) {
    CHECK(torch::equal(each.score(1, features), scorer.score(1, features)));
    CHECK(each.layer_number(1) == 2);
  }
  shape.kinds[1].attention = AttentionKind::kFull;
  REQUIRE_THROWS_WITH(Scorer::load(file, shape), Catch::Contains("a scorer of layers 0 2"));
  std::filesystem::remove_all(file.parent_path());
}

TEST_CASE("scorer: the folded normalisation equals standardising the features", "[scorer]") {
  torch::manual_seed(2);
  ModelShape shape;
  shape.layers = 2;
  shape.query_heads = 6;
  shape.kv_heads = 2;
  shape.head_dimension = 4;
  Scorer scorer = Scorer::random(shape, {}, RandomStream(5, "test"));
  const torch::Tensor features = torch::randn({3, 2, 10, 32}) * 3 + 1;
  const torch::Tensor mean = torch::randn({2, 32}), deviation = torch::rand({2, 32}) + 0.5;
  const torch::Tensor standardised = (features - mean.view({1, 2, 1, 32})) / deviation.view({1, 2, 1, 32});
  const torch::Tensor expected = scorer.score(1, standardised);
  scorer.set_normalisation(1, mean, deviation);
  CHECK(torch::allclose(scorer.score(1, features), expected, 1e-4, 1e-5));

  const auto file = temporary_file("ours.safetensors");
  scorer.facts().budget = 64;
  scorer.facts().window = 16;
  scorer.save(file);
  const Scorer loaded = Scorer::load(file, shape);
  CHECK(torch::equal(loaded.score(1, features), scorer.score(1, features)));
  CHECK(loaded.facts().window == 16);
  for (const Scorer& each : {scorer, loaded, Scorer::load(file, scorer.shape())}) {
    CHECK(each.shape().layers == 2);
    CHECK(each.shape().kv_heads == 2);
    CHECK(each.shape().inputs(ScorerFeatures::kNormalized) == 2 * 4 + 8 * 3);
  }
  REQUIRE_THROWS_WITH(scorer.save_released(file), Catch::Contains("scorer.features=released"));
  ModelShape other = shape;
  other.head_dimension = 8;
  REQUIRE_THROWS_WITH(Scorer::load(file, other), Catch::Contains("another model"));
  other = shape;
  other.layers = 1;
  REQUIRE_THROWS_WITH(Scorer::load(file, other), Catch::Contains("more than"));
  std::filesystem::remove_all(file.parent_path());
}
