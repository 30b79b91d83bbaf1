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
