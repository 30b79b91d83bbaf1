// The kernels of GPUs for a policy's choice, played on the host.
#include "trainer/kernels/choice_block.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "rl/policy_terms.h"
#include "rl/rollout.h"
#include "tests/kernels/play_kernel.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

namespace foresight::kernels {
namespace {

/// What autograd says of the mean over the draws, in float64.
DrawTerms by_autograd(const torch::Tensor& logits, const torch::Tensor& reference,
                      const torch::Tensor& draws) {
  const torch::Tensor wide = logits.to(torch::kFloat64).requires_grad_();
  const torch::Tensor likelihood = plackett_luce_log_likelihood(wide, draws).mean(-1);
  const torch::Tensor derivatives = torch::autograd::grad({likelihood.sum()}, {wide})[0];
  return {likelihood.detach(), plackett_luce_log_likelihood(reference.to(torch::kFloat64), draws).mean(-1),
          derivatives};
}

DrawTerms played(const torch::Tensor& logits, const torch::Tensor& reference, const torch::Tensor& draws,
                 std::uint64_t seed) {
  const auto heads = logits.sizes().slice(0, logits.dim() - 1);
  DrawTerms terms{torch::full(heads, -7.0), torch::full(heads, -7.0), torch::full_like(logits, -7.0)};
  ChoiceWork work;
  work.logits = logits.const_data_ptr<float>();
  work.reference = reference.const_data_ptr<float>();
  work.draws = draws.const_data_ptr<std::int64_t>();
  work.likelihood = terms.likelihood.mutable_data_ptr<float>();
  work.likelihood_of_reference = terms.likelihood_of_reference.mutable_data_ptr<float>();
  work.derivatives = terms.derivatives.mutable_data_ptr<float>();
  work.candidates = logits.size(-1);
  work.heads = logits.numel() / logits.size(-1);
  work.window = draws.size(-1);
  play_kernel<ChoiceBlock>(work, seed);
  return terms;
}

/// Logits of float32 are off by their last digits, which e^logit is off by relative to itself.
void check_close(const DrawTerms& found, const DrawTerms& expected, double spread) {
  const auto close = [&](const torch::Tensor& own, const torch::Tensor& exact) {
    return torch::allclose(own.to(torch::kFloat64), exact, 4e-6 * spread, 4e-6 * spread);
  };
  CHECK(close(found.likelihood, expected.likelihood));
  CHECK(close(found.likelihood_of_reference, expected.likelihood_of_reference));
  CHECK(close(found.derivatives, expected.derivatives));
}

}  // namespace

TEST_CASE(
    "choice block: likelihoods and derivatives of ordered draws are autograd's, in any order of threads") {
  const auto [candidates, window] = GENERATE(table<int, int>({{1, 1}, {7, 3}, {9, 9}, {40, 1}, {300, 65}}));
  const double spread = GENERATE(1.0, 30.0, 1000.0);
  INFO(candidates << " candidates, " << window << " draws, spread " << spread);
  torch::manual_seed(candidates);
  const torch::Tensor logits = spread * torch::randn({2, 3, candidates}),
                      reference = logits + 0.1 * torch::randn_like(logits);
  const torch::Tensor draws =
      torch::rand({2, 3, candidates}).argsort(std::int64_t{-1}).narrow(2, 0, window).contiguous();
  const DrawTerms expected = by_autograd(logits, reference, draws);
  const DrawTerms found = played(logits, reference, draws, 1);
  check_close(found, expected, spread);
  check_close(plackett_luce_terms(logits, reference, draws), expected, spread);
  check_close(foresight::plain::plackett_luce_terms(logits, reference, draws), expected, spread);
  const DrawTerms again = played(logits, reference, draws, 2);
  CHECK(torch::equal(again.likelihood, found.likelihood));
  CHECK(torch::equal(again.derivatives, found.derivatives));
}

TEST_CASE("choice block: candidates that are never drawn leave the others' likelihood as it is") {
  torch::manual_seed(8);
  const torch::Tensor logits = torch::randn({1, 2, 12});
  const torch::Tensor draws = torch::rand({1, 2, 8}).argsort(std::int64_t{-1}).narrow(2, 0, 3).contiguous();
  torch::Tensor with_closed = logits.clone();
  with_closed.narrow(2, 8, 4).fill_(-1e30);
  const torch::Tensor open = logits.narrow(2, 0, 8).contiguous();
  const DrawTerms expected = by_autograd(open, open, draws);
  for (const DrawTerms& found :
       {played(with_closed, with_closed, draws, 1), plackett_luce_terms(with_closed, with_closed, draws),
        foresight::plain::plackett_luce_terms(with_closed, with_closed, draws)}) {
    CHECK(torch::allclose(found.likelihood.to(torch::kFloat64), expected.likelihood, 1e-5, 1e-6));
    CHECK(torch::allclose(found.derivatives.narrow(2, 0, 8).to(torch::kFloat64), expected.derivatives, 1e-5,
                          1e-6));
    CHECK(found.derivatives.narrow(2, 8, 4).eq(0).all().item<bool>());
  }
}

TEST_CASE("choice block: noise is that of the streams, bit by bit") {
  const std::int64_t rows = 3, numbers = 500;
  std::vector<RandomStream> streams;
  for (std::int64_t row = 0; row < rows; ++row)
    streams.emplace_back(9, "test", std::initializer_list<std::int64_t>{row});
  torch::Tensor noise = torch::full({rows, numbers}, -7.0);
  NoiseWork work;
  for (std::int64_t row = 0; row < rows; ++row)
    work.states[row] = streams[static_cast<std::size_t>(row)].state();
  work.noise = noise.mutable_data_ptr<float>();
  work.rows = rows;
  work.numbers = numbers;
  play_kernel<NoiseBlock>(work, 1);
  CHECK(torch::equal(noise, gumbel_noise(streams, numbers, torch::kCPU)));
}

}  // namespace foresight::kernels
