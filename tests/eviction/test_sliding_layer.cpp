// The cache of a layer whose queries see a window, against attention with a mask over the whole text.
#include "trainer/eviction/sliding_layer.h"

#include <torch/types.h>

#include <cmath>
#include <limits>

#include "trainer/eviction/full_cache.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

constexpr std::int64_t kRows = 2, kWindow = 40, kTokens = 700, kDimension = 4;

ModelShape shape_with(double score_cap) {
  ModelShape shape;
  shape.layers = 2;
  shape.query_heads = 4;
  shape.kv_heads = 2;
  shape.head_dimension = kDimension;
  shape.sliding_window = kWindow;
  shape.score_cap = score_cap;
  shape.max_positions = 4096;
  shape.kinds.resize(2);
  shape.kinds[1].attention = AttentionKind::kSliding;
  return shape;
}

struct Text {
  torch::Tensor query = torch::randn({kRows, 4, kTokens, kDimension}) * 2;
  torch::Tensor key = torch::randn({kRows, 2, kTokens, kDimension});
  torch::Tensor value = torch::randn({kRows, 2, kTokens, kDimension});
};

/// softmax over the last kWindow entries that are not padding: [R, H, T, d].
torch::Tensor masked_attention(const Text& text, const torch::Tensor& padding, double score_cap) {
  const torch::Tensor keys = text.key.repeat_interleave(2, 1), values = text.value.repeat_interleave(2, 1);
  torch::Tensor scores = torch::matmul(text.query, keys.transpose(2, 3)) / std::sqrt(double{kDimension});
  if (score_cap > 0) scores = score_cap * torch::tanh(scores / score_cap);
  const torch::Tensor index = torch::arange(kTokens);
  const torch::Tensor age = index.unsqueeze(1) - index.unsqueeze(0);  // [T, T]
  const torch::Tensor unseen =
      (age < 0)
          .logical_or(age >= kWindow)
          .unsqueeze(0)
          .logical_or((index.unsqueeze(0) < padding.unsqueeze(1)).unsqueeze(1));  // [R, T, T]
  scores = scores.masked_fill(unseen.unsqueeze(1), -std::numeric_limits<float>::infinity());
  return torch::matmul(torch::softmax(scores, -1), values);
}

/// The text in passes of `together` tokens.
template <class Attend>
torch::Tensor in_passes(const Text& text, std::int64_t together, const Attend& attend) {
  std::vector<torch::Tensor> outputs;
  for (std::int64_t first = 0; first < kTokens; first += together) {
    const std::int64_t count = std::min(together, kTokens - first);
    const auto part = [&](const torch::Tensor& all) { return all.narrow(2, first, count); };
    outputs.push_back(attend(part(text.query), part(text.key), part(text.value)));
  }
  return torch::cat(outputs, 2);
}

}  // namespace

TEST_CASE("sliding layer: each query sees its window, however the text is cut into passes", "[eviction]") {
  torch::manual_seed(4);
  const Text text;
  const torch::Tensor none = torch::zeros({kRows}, torch::kInt64),
                      padding = torch::tensor({0, 55}, torch::kInt64);
  for (const double score_cap : {0.0, 3.0}) {
    const ModelShape shape = shape_with(score_cap);
    const torch::Tensor expected = masked_attention(text, none, score_cap);
    const torch::Tensor padded = masked_attention(text, padding, score_cap);
    for (const std::int64_t together : {std::int64_t{1}, std::int64_t{37}, std::int64_t{128}, kTokens}) {
      CAPTURE(score_cap, together);
      SlidingLayer layer(shape, kRows, 4096, {});
      const torch::Tensor found = in_passes(
          text, together, [&](const auto& q, const auto& k, const auto& v) { return layer.attend(q, k, v); });
      CHECK(torch::allclose(found, expected, 1e-4, 1e-5));
      SlidingLayer with_padding(shape, kRows, 4096, {});
      const torch::Tensor real = in_passes(text, together, [&](const auto& q, const auto& k, const auto& v) {
        return with_padding.attend(q, k, v, padding);
      });
      CHECK(torch::allclose(real[0], padded[0], 1e-4, 1e-5));
      CHECK(torch::allclose(real[1].slice(1, 55), padded[1].slice(1, 55), 1e-4, 1e-5));
      CHECK(torch::isfinite(real).all().item<bool>());
    }
  }
}

TEST_CASE("sliding layer: its memory does not grow with the text, and rows can be repeated and dropped",
          "[eviction]") {
  torch::manual_seed(5);
  const Text text;
  const ModelShape shape = shape_with(0.0);
  SlidingLayer layer(shape, kRows, 1 << 20, {});
  const std::int64_t bytes = layer.bytes();
  CHECK(bytes == 2 * kRows * 2 * (kWindow - 1 + 128) * kDimension * 4);
  CHECK(SlidingLayer(shape, kRows, 50, {}).bytes() == 2 * kRows * 2 * 50 * kDimension * 4);
  const auto part = [&](const torch::Tensor& all, std::int64_t first, std::int64_t count) {
    return all.narrow(2, first, count);
  };
  const auto attend = [&](SlidingLayer& to, std::int64_t first, std::int64_t count, std::int64_t copies) {
    const auto rows = [&](const torch::Tensor& all) {
      return part(all, first, count).repeat({copies, 1, 1, 1});
    };
    return to.attend(rows(text.query), rows(text.key), rows(text.value));
  };
  attend(layer, 0, 600, 1);
  CHECK(layer.bytes() == bytes);
  const torch::Tensor expected = masked_attention(text, torch::zeros({kRows}, torch::kInt64), 0.0);
  const torch::Tensor repeated = attend(layer, 600, 50, 3);  // row r of copy c is c * R + r
  for (std::int64_t row = 0; row < 3 * kRows; ++row)
    CHECK(torch::allclose(repeated[row], part(expected, 600, 50)[row % kRows], 1e-4, 1e-5));
  layer.keep_rows(torch::tensor({1}, torch::kInt64));
  const torch::Tensor left =
      layer.attend(part(text.query, 650, 50)[1].unsqueeze(0), part(text.key, 650, 50)[1].unsqueeze(0),
                   part(text.value, 650, 50)[1].unsqueeze(0));
  CHECK(torch::allclose(left[0], part(expected, 650, 50)[1], 1e-4, 1e-5));
}

TEST_CASE("full cache: a layer that slides is shown to no observer, one that evicts by its place among these",
          "[eviction]") {
  torch::manual_seed(6);
  const Text text;
  ModelShape shape = shape_with(0.0);
  std::swap(shape.kinds[0], shape.kinds[1]);
  FullCache cache(shape, kRows, kTokens, {});
  std::vector<std::int64_t> shown;
  cache.set_observer([&](std::int64_t layer, const torch::Tensor&) { shown.push_back(layer); });
  const torch::Tensor sliding = cache.attend(0, text.query, text.key, text.value);
  CHECK(shown.empty());
  CHECK(torch::allclose(sliding, masked_attention(text, torch::zeros({kRows}, torch::kInt64), 0.0), 1e-4,
                        1e-5));
  cache.attend(1, text.query, text.key, text.value);
  REQUIRE_FALSE(shown.empty());
  for (const std::int64_t layer : shown) CHECK(layer == 0);
  CHECK(cache.tokens() == kTokens);
}
