#include <torch/types.h>
#include <torch/utils.h>

#include <functional>

#include "trainer/base/error.h"
#include "trainer/model/row_functions.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

torch::Tensor exact(const torch::Tensor& tensor) {
  return tensor.to(torch::kFloat64);
}

/// The value with `threads` threads, which are then as many as before.
torch::Tensor with_threads(int threads, const std::function<torch::Tensor()>& value) {
  const int before = torch::get_num_threads();
  torch::set_num_threads(threads);
  torch::Tensor result = value();
  torch::set_num_threads(before);
  return result;
}

}  // namespace

TEST_CASE("rms_norm over rows is that of torch's operators, whatever the width") {
  torch::manual_seed(1);
  for (const std::int64_t width : {1, 7, 8, 15, 16, 31, 64, 577}) {
    CAPTURE(width);
    const torch::Tensor hidden = torch::randn({2, 5, width}) * 10, weight = torch::randn({width});
    const torch::Tensor expected = plain::rms_norm(exact(hidden), exact(weight), 1e-5);
    REQUIRE(torch::allclose(exact(rms_norm(hidden, weight, 1e-5)), expected, 2e-6, 1e-7));
  }
  // The epsilon counts where the row is small.
  const torch::Tensor small = torch::full({1, 16}, 1e-3F), ones = torch::ones({16});
  CHECK(torch::allclose(rms_norm(small, ones, 1e-6), torch::full({1, 16}, 1e-3 / std::sqrt(2e-6)), 1e-5));
  CHECK_THROWS_AS(rms_norm(torch::ones({2, 16}), torch::ones({8}), 1e-6), Error);
}

TEST_CASE(
    "rms_norm of heads with weights of their own, and of rows with gaps, is that of torch's operators") {
  torch::manual_seed(2);
  const torch::Tensor joined = torch::randn({2, 6, 5, 16}).transpose(1, 2), weight = torch::randn({5, 1, 16});
  CHECK(torch::allclose(exact(rms_norm(joined, weight, 1e-5)),
                        plain::rms_norm(exact(joined), exact(weight), 1e-5), 2e-6, 1e-7));
  const torch::Tensor gaps = torch::randn({6, 64}).narrow(1, 3, 24), flat = torch::randn({24});
  CHECK(torch::allclose(exact(rms_norm(gaps, flat, 1e-5)), plain::rms_norm(exact(gaps), exact(flat), 1e-5),
                        2e-6, 1e-7));
}

TEST_CASE("rotate takes heads out of a joint projection, with angles of all rows or of each") {
  torch::manual_seed(3);
  for (const std::int64_t d : {2, 6, 16, 32, 64, 80}) {
    for (const std::int64_t angle_rows : {1, 3}) {
      CAPTURE(d, angle_rows);
      const torch::Tensor heads = torch::randn({3, 7, 5, d}).transpose(1, 2).narrow(1, 1, 3);
      const torch::Tensor cosine = torch::randn({angle_rows, 1, 7, d / 2}), sine = torch::randn_like(cosine);
      const torch::Tensor found = rotate(heads, cosine, sine);
      REQUIRE(found.is_contiguous());
      REQUIRE(
          torch::allclose(exact(found), plain::rotate(exact(heads), exact(cosine), exact(sine)), 1e-6, 1e-6));
    }
  }
  CHECK_THROWS_AS(rotate(torch::ones({1, 2, 3, 8}), torch::ones({1, 1, 2, 4}), torch::ones({1, 1, 2, 4})),
                  Error);
}

TEST_CASE("gated_silu is that of torch's operators, for gates of every size") {
  torch::manual_seed(4);
  for (const std::int64_t width : {1, 8, 13, 40}) {
    CAPTURE(width);
    const torch::Tensor gate_up = torch::randn({3, 4, 2 * width}) * 8;
    REQUIRE(torch::allclose(exact(gated_silu(gate_up)), plain::gated_silu(exact(gate_up)), 1e-6, 1e-12));
  }
  torch::Tensor extremes = torch::ones({1, 32});
  extremes.narrow(1, 0, 16).copy_(torch::tensor({-1e30F, -1000.F, -100.F, -88.F, -80.F, -20.F, -1.F, -1e-30F,
                                                 0.F, 1e-30F, 1.F, 20.F, 80.F, 100.F, 1000.F, 1e30F}));
  const torch::Tensor found = gated_silu(extremes);
  CHECK(torch::isfinite(found).all().item<bool>());
  CHECK(torch::allclose(exact(found), plain::gated_silu(exact(extremes)), 1e-6, 1e-7));
  const torch::Tensor broken = torch::full({1, 32}, std::numeric_limits<float>::quiet_NaN());
  CHECK(torch::isnan(gated_silu(broken)).all().item<bool>());
}

TEST_CASE("loss_and_entropy is that of log_softmax, flat or peaked") {
  torch::manual_seed(5);
  for (const std::int64_t vocabulary : {1, 9, 16, 1000, 49152}) {
    for (const double scale : {0.0, 1.0, 30.0, 1000.0}) {
      CAPTURE(vocabulary, scale);
      const torch::Tensor logits = torch::randn({5, vocabulary}) * scale + 3;
      const torch::Tensor targets = torch::randint(vocabulary, {5}, torch::kInt64);
      const LossAndEntropy found = loss_and_entropy(logits, targets);
      const torch::Tensor log_probability = torch::log_softmax(exact(logits), -1);
      const torch::Tensor loss = log_probability.gather(1, targets.unsqueeze(1)).squeeze(1).neg();
      // e^x log-probabilities of -infinity apart, which scale 1000 has none of.
      const torch::Tensor entropy = (log_probability.exp() * log_probability).sum(-1).neg();
      REQUIRE(torch::allclose(exact(found.loss), loss, 1e-6, 2e-6));
      REQUIRE(torch::allclose(exact(found.entropy), entropy, 1e-5, 2e-6));
    }
  }
}

TEST_CASE(
    "Logits that are no numbers give a loss that is none, and a target outside the vocabulary is refused") {
  torch::Tensor logits = torch::randn({2, 40});
  logits[1][17] = std::numeric_limits<float>::quiet_NaN();
  const LossAndEntropy found = loss_and_entropy(logits, torch::tensor({3, 3}, torch::kInt64));
  CHECK(std::isfinite(found.loss[0].item<float>()));
  CHECK_FALSE(std::isfinite(found.loss[1].item<float>()));
  logits[1][17] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(
      std::isfinite(loss_and_entropy(logits, torch::tensor({3, 3}, torch::kInt64)).loss[1].item<float>()));
  CHECK_THROWS_AS(loss_and_entropy(logits, torch::tensor({3, 40}, torch::kInt64)), Error);
  CHECK_THROWS_AS(loss_and_entropy(logits, torch::tensor({-1, 3}, torch::kInt64)), Error);
}

TEST_CASE("A row depends on neither the rows beside it nor the number of threads") {
  torch::manual_seed(6);
  const torch::Tensor hidden = torch::randn({300, 576}), weight = torch::randn({576});
  const torch::Tensor gate_up = torch::randn({300, 640}), logits = torch::randn({40, 5000});
  const torch::Tensor targets = torch::randint(5000, {40}, torch::kInt64);
  const std::vector<std::function<torch::Tensor(std::int64_t, std::int64_t)>> functions = {
      [&](std::int64_t first, std::int64_t count) {
        return rms_norm(hidden.narrow(0, first, count), weight, 1e-5);
      },
      [&](std::int64_t first, std::int64_t count) { return gated_silu(gate_up.narrow(0, first, count)); },
      [&](std::int64_t first, std::int64_t count) {
        return loss_and_entropy(logits.narrow(0, first, count), targets.narrow(0, first, count)).entropy;
      }};
  for (const auto& function : functions) {
    const torch::Tensor together = with_threads(1, [&] { return function(0, 40); });
    REQUIRE(torch::equal(together, with_threads(2, [&] { return function(0, 40); })));
    for (std::int64_t row = 0; row < 40; ++row) REQUIRE(torch::equal(function(row, 1)[0], together[row]));
  }
}

TEST_CASE("Rows of bfloat16 are computed in float32 and rounded once") {
  torch::manual_seed(7);
  const auto near_rounding = [](const torch::Tensor& found, const torch::Tensor& exact_values) {
    REQUIRE(found.scalar_type() == torch::kBFloat16);
    // Half a unit of 8 bits, and what float32 adds where two values are equally near.
    return torch::allclose(exact(found), exact_values, 1.0 / 256 + 1e-6, 1e-30);
  };
  for (const std::int64_t width : {5, 16, 77}) {
    CAPTURE(width);
    const torch::Tensor hidden = torch::randn({3, width}) * 5, weight = torch::randn({width});
    const torch::Tensor norm = rms_norm(hidden, weight, 1e-5, torch::kBFloat16);
    CHECK(near_rounding(norm, plain::rms_norm(exact(hidden), exact(weight), 1e-5)));
    const torch::Tensor gate_up = (torch::randn({3, 2 * width}) * 5).to(torch::kBFloat16);
    CHECK(near_rounding(gated_silu(gate_up), plain::gated_silu(exact(gate_up))));
    CHECK(near_rounding(plain::gated_silu(gate_up), plain::gated_silu(exact(gate_up))));
    const torch::Tensor logits = (torch::randn({3, width}) * 5).to(torch::kBFloat16);
    const torch::Tensor targets = torch::randint(width, {3}, torch::kInt64);
    const LossAndEntropy found = loss_and_entropy(logits, targets);
    const LossAndEntropy wanted = plain::loss_and_entropy(exact(logits), targets);
    CHECK(torch::allclose(exact(found.loss), wanted.loss, 1e-6, 2e-6));
    CHECK(torch::allclose(exact(found.entropy), wanted.entropy, 1e-5, 2e-6));
    torch::Tensor sum = torch::randn({3, width});
    const torch::Tensor update = torch::randn({3, width}).to(torch::kBFloat16);
    const torch::Tensor expected = sum + update.to(torch::kFloat32);
    add_update(sum, update);
    CHECK(torch::equal(sum, expected));
  }
  const torch::Tensor heads = torch::randn({2, 7, 5, 32}).to(torch::kBFloat16).transpose(1, 2);
  const torch::Tensor cosine = torch::randn({1, 1, 7, 16}), sine = torch::randn_like(cosine);
  const torch::Tensor turned = rotate(heads, cosine, sine);
  CHECK(turned.scalar_type() == torch::kFloat32);
  CHECK(torch::allclose(exact(turned), plain::rotate(exact(heads), exact(cosine), exact(sine)), 1e-6, 1e-6));
}

TEST_CASE("bfloat16 is rounded to nearest, ties to even, as torch rounds") {
  torch::manual_seed(8);
  // Norms of weight w and rows of ones are w itself, so that stored values can be chosen to the bit.
  const torch::Tensor bits = torch::randint(std::numeric_limits<std::int32_t>::max(), {4096}, torch::kInt32);
  torch::Tensor values = bits.view(torch::kFloat32).clone();
  values.narrow(0, 0, 4).copy_(torch::tensor({1.00390625F, 1.01171875F, -1.00390625F, 0.F}));  // ties
  values.narrow(0, 4, 3).copy_(torch::tensor({std::numeric_limits<float>::infinity(), 3.4e38F, -3.4e38F}));
  values[7] = std::numeric_limits<float>::quiet_NaN();
  const torch::Tensor found = rms_norm(torch::ones({1, 4096}), values, 0.0, torch::kBFloat16)[0];
  const torch::Tensor expected = values.to(torch::kBFloat16);
  const torch::Tensor numbers = torch::isnan(values).logical_not();
  CHECK(torch::equal(found.masked_select(numbers), expected.masked_select(numbers)));
  CHECK(torch::isnan(found.masked_select(torch::isnan(values))).all().item<bool>());
}

TEST_CASE("causal_softmax is torch's softmax of what a query sees, and 0 of the rest") {
  torch::manual_seed(9);
  for (const std::int64_t tokens : {1, 2, 9, 40}) {
    for (const std::int64_t before : {0, 1, 7, 100}) {
      for (const double spread : {1.0, 200.0}) {
        CAPTURE(tokens, before, spread);
        const torch::Tensor scores = torch::randn({2, 3, tokens, before + tokens}) * spread;
        const torch::Tensor found = causal_softmax(scores.clone(), 0.125);
        REQUIRE(torch::allclose(exact(found), plain::causal_softmax(exact(scores), 0.125), 2e-6, 1e-12));
        const torch::Tensor unseen = torch::ones({tokens, before + tokens}, torch::kBool).triu(before + 1);
        REQUIRE(found.masked_select(unseen).eq(0).all().item<bool>());
      }
    }
  }
  CHECK_THROWS_AS(causal_softmax(torch::zeros({5, 4}), 1.0), Error);
}

TEST_CASE("causal_softmax: a sink of each head has a share and no entry") {
  torch::manual_seed(10);
  for (const std::int64_t tokens : {1, 3, 20}) {
    for (const double spread : {1.0, 30.0}) {
      CAPTURE(tokens, spread);
      const torch::Tensor scores = torch::randn({2, 3, 2, tokens, 25}) * spread;  // [R, K, g, T, n]
      const torch::Tensor sinks = torch::randn({6}) * spread;
      // torch's softmax with the sink as one more entry, in front of all.
      const torch::Tensor beside = (exact(sinks) / 0.25).view({1, 3, 2, 1, 1}).expand({2, 3, 2, tokens, 1});
      const torch::Tensor expected =
          plain::causal_softmax(torch::cat({beside, exact(scores)}, -1), 0.25).narrow(-1, 1, 25);
      CHECK(torch::allclose(exact(causal_softmax(scores.clone(), 0.25, sinks)), expected, 2e-6, 1e-12));
      CHECK(torch::allclose(plain::causal_softmax(exact(scores), 0.25, sinks), expected, 1e-6, 1e-12));
    }
  }
  CHECK_THROWS_AS(causal_softmax(torch::zeros({3, 2, 4}), 1.0, torch::zeros({2})), Error);
}

TEST_CASE("causal_softmax: a row that is no number stays apart from the others") {
  torch::Tensor broken = torch::zeros({2, 1, 20});
  broken[0][0][3] = std::numeric_limits<float>::quiet_NaN();
  const torch::Tensor found = causal_softmax(broken, 1.0);
  CHECK(torch::isnan(found[0][0]).all().item<bool>());
  CHECK(torch::allclose(found[1][0], torch::full({20}, 0.05F)));
}
