// Draws, likelihoods, the clipped loss and the KL term against definitions, enumeration, finite differences
// and the authors' released functions.
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "rl/policy_terms.h"
#include "tests/rl/kind_of.h"
#include "tests/tensors.h"

#include "tests/catch.h"

namespace foresight {
namespace {

using testing::all_close;
using Ordered = std::vector<std::int64_t>;

/// All ordered selections of `count` out of `size`.
std::vector<Ordered> ordered_selections(std::int64_t size, std::int64_t count) {
  if (count == 0) return {{}};
  std::vector<Ordered> result;
  for (const Ordered& shorter : ordered_selections(size, count - 1)) {
    for (std::int64_t next = 0; next < size; ++next) {
      if (std::find(shorter.begin(), shorter.end(), next) != shorter.end()) continue;
      result.push_back(shorter);
      result.back().push_back(next);
    }
  }
  return result;
}

/// Terms of the draw by the definition: weights of what is left, in long double.
std::vector<double> plackett_luce_by_loops(const std::vector<double>& logits, const Ordered& draw) {
  std::vector<bool> left(logits.size(), true);
  std::vector<double> terms;
  for (const std::int64_t choice : draw) {
    long double highest = -INFINITY, sum = 0.0L;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (left[i]) highest = std::max<long double>(highest, logits[i]);
    }
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (left[i]) sum += std::exp(logits[i] - highest);
    }
    terms.push_back(static_cast<double>(logits[static_cast<std::size_t>(choice)] - highest - std::log(sum)));
    left[static_cast<std::size_t>(choice)] = false;
  }
  return terms;
}

std::vector<double> to_vector(const torch::Tensor& values) {
  const auto flat = values.detach().to(torch::kFloat64).contiguous().view(-1);
  return {flat.const_data_ptr<double>(), flat.const_data_ptr<double>() + flat.numel()};
}

TEST_CASE("Plackett-Luce: the ordered draws have probabilities that sum to 1", "[rl][unit]") {
  torch::manual_seed(21);
  const auto logits = torch::randn({5}, torch::kFloat64) * 2.0;
  for (const std::int64_t count : {1, 2, 3, 5}) {
    double total = 0.0;
    for (const Ordered& draw : ordered_selections(5, count)) {
      total += plackett_luce_log_likelihood(logits, torch::tensor(draw)).sum().exp().item<double>();
    }
    REQUIRE(total == Approx(1.0).epsilon(1e-12));
  }
}

TEST_CASE("Plackett-Luce: every term is the definition's, also for large logits and full draws",
          "[rl][unit]") {
  torch::manual_seed(22);
  for (const double scale : {1.0, 20.0, 1000.0}) {
    for (const std::int64_t count : {1, 6, 11, 12}) {
      const auto logits = torch::randn({2, 3, 12}, torch::kFloat64) * scale;
      const auto draws =
          gumbel_top_k(torch::zeros_like(logits), torch::rand({2, 3, 12}, torch::kFloat64), count);
      const auto terms = plackett_luce_log_likelihood(logits, draws);
      REQUIRE(terms.sizes() == torch::IntArrayRef({2, 3, count}));
      for (std::int64_t row = 0; row < 6; ++row) {
        const auto draw = draws.view({6, count})[row].contiguous();
        const Ordered order(draw.const_data_ptr<std::int64_t>(), draw.const_data_ptr<std::int64_t>() + count);
        const auto expected = torch::tensor(
            plackett_luce_by_loops(to_vector(logits.view({6, 12})[row]), order), torch::kFloat64);
        REQUIRE(all_close(terms.view({6, count})[row], expected, 1e-11, 1e-11));
        const auto single = plackett_luce_log_likelihood(logits.view({6, 12})[row].to(torch::kFloat32), draw);
        REQUIRE(all_close(single, expected, 1e-5, 1e-6 * (1.0 + scale)));
      }
    }
  }
}

TEST_CASE("Plackett-Luce: the gradient matches finite differences", "[rl][unit]") {
  torch::manual_seed(23);
  for (const std::int64_t count : {1, 4, 7}) {
    const auto logits = torch::randn({2, 7}, torch::kFloat64) * 3.0;
    const auto draws = gumbel_top_k(logits, torch::rand({2, 7}, torch::kFloat64), count);
    const auto weights = torch::randn({2, count}, torch::kFloat64);
    const auto value = [&](const torch::Tensor& x) {
      return (plackett_luce_log_likelihood(x, draws) * weights).sum();
    };
    const auto leaf = logits.clone().set_requires_grad(true);
    value(leaf).backward();
    REQUIRE(all_close(leaf.grad(), testing::finite_difference_gradient(value, logits), 1e-6, 1e-8));
  }
}

TEST_CASE("Plackett-Luce: far apart logits give a finite gradient in float32", "[rl][unit]") {
  const auto leaf = torch::tensor({400.0F, -400.0F, 0.0F, 399.0F}).set_requires_grad(true);
  plackett_luce_log_likelihood(leaf, torch::tensor(Ordered{1, 2})).sum().backward();
  REQUIRE(torch::isfinite(leaf.grad()).all().item<bool>());
  // Both draws go against the two high logits: -1 each per draw, shared as their softmax.
  const double share = 1.0 / (1.0 + std::exp(-1.0));
  const auto expected = torch::tensor({-2.0 * share, 1.0, 1.0, -2.0 * (1.0 - share)}, torch::kFloat64);
  REQUIRE(all_close(leaf.grad(), expected, 1e-5, 1e-6));
}

TEST_CASE("Gumbel draw: frequencies are the Plackett-Luce probabilities", "[rl][unit]") {
  torch::manual_seed(24);
  constexpr std::int64_t kDraws = 200000;
  const auto logits = torch::tensor({0.5, -1.0, 1.5, 0.0}, torch::kFloat64);
  const auto noise = -(-torch::rand({kDraws, 4}, torch::kFloat64).log()).log();
  const auto draws = gumbel_top_k(logits.expand({kDraws, 4}), noise, 2);
  std::map<Ordered, std::int64_t> counts;
  const auto seen = draws.accessor<std::int64_t, 2>();
  for (std::int64_t i = 0; i < kDraws; ++i) ++counts[{seen[i][0], seen[i][1]}];
  for (const Ordered& draw : ordered_selections(4, 2)) {
    double log_probability = 0.0;
    for (const double term : plackett_luce_by_loops(to_vector(logits), draw)) log_probability += term;
    const double probability = std::exp(log_probability);
    const double deviation = std::sqrt(probability * (1.0 - probability) / kDraws);
    REQUIRE(std::abs(static_cast<double>(counts[draw]) / kDraws - probability) < 5.0 * deviation);
  }
}

TEST_CASE("Gumbel draw: the order is by perturbed logit, ties to the lower index", "[rl][unit]") {
  const auto logits = torch::tensor({{1.0F, 3.0F, 2.0F, 3.0F}});
  REQUIRE(torch::equal(gumbel_top_k(logits, torch::zeros_like(logits), 3),
                       torch::tensor({{1, 3, 2}}, torch::kInt64)));
  const auto noise = torch::tensor({{5.0F, 0.0F, 0.0F, 0.5F}});
  REQUIRE(torch::equal(gumbel_top_k(logits, noise, 2), torch::tensor({{0, 3}}, torch::kInt64)));
}

TEST_CASE("policy terms: the released likelihoods, ratio, loss, gradient and KL are reproduced",
          "[rl][unit]") {
  const auto vectors = testing::load_reference_vectors("grpo");
  const auto indices = vectors.at("indices").to(torch::kInt64);
  const auto old_terms = independent_log_likelihood(vectors.at("old_scores"), indices);
  const auto initial_terms = independent_log_likelihood(vectors.at("init_scores"), indices);
  REQUIRE(all_close(old_terms, vectors.at("logp_old"), 1e-5, 1e-7));
  REQUIRE(all_close(initial_terms, vectors.at("logp_init"), 1e-5, 1e-7));
  for (const std::string sign : {"pos", "neg"}) {
    const auto leaf = vectors.at("new_scores").clone().set_requires_grad(true);
    const auto new_terms = independent_log_likelihood(leaf, indices);
    REQUIRE(all_close(new_terms, vectors.at("logp_new"), 1e-5, 1e-7));
    REQUIRE(all_close(likelihood_ratio(new_terms, old_terms), vectors.at("ratio"), 1e-5, 1e-7));
    const auto& advantage = vectors.at(sign + ".adv");
    const auto divergence = kl_k3(new_terms, initial_terms);
    REQUIRE(all_close(divergence, vectors.at("kl_elem"), 1e-5, 1e-7));
    REQUIRE(divergence.mean().item<double>() ==
            Approx(vectors.at(sign + ".kl_mean").item<double>()).epsilon(1e-5));
    const auto loss =
        clipped_policy_loss(new_terms, old_terms, advantage, 0.2).mean() + 0.05 * divergence.mean();
    REQUIRE(loss.item<double>() == Approx(vectors.at(sign + ".loss").item<double>()).epsilon(1e-5));
    loss.backward();
    REQUIRE(all_close(leaf.grad(), vectors.at(sign + ".grad_new_scores"), 1e-5, 1e-7));
    const double outside = vectors.at(sign + ".clipped").to(torch::kFloat64).mean().item<double>();
    const auto ratio = likelihood_ratio(new_terms, old_terms).detach();
    REQUIRE(((ratio < 0.8) | (ratio > 1.2)).to(torch::kFloat64).mean().item<double>() == Approx(outside));
  }
}

TEST_CASE("policy loss: it is the clipped surrogate element by element", "[rl][unit]") {
  const std::vector<double> ratios = {0.5, 0.79, 0.81, 1.0, 1.19, 1.21, 3.0};
  for (const double advantage : {-2.0, 0.0, 0.7}) {
    const auto leaf = torch::tensor(ratios, torch::kFloat64).log().set_requires_grad(true);
    const auto old_terms = torch::zeros({7}, torch::kFloat64);
    const auto loss = clipped_policy_loss(leaf, old_terms, torch::tensor(advantage, torch::kFloat64), 0.2);
    loss.sum().backward();
    std::int64_t without_gradient = 0;
    for (std::int64_t i = 0; i < 7; ++i) {
      const double ratio = ratios[static_cast<std::size_t>(i)];
      const double clipped = std::min(std::max(ratio, 0.8), 1.2);
      REQUIRE(loss[i].item<double>() ==
              Approx(-std::min(ratio * advantage, clipped * advantage)).margin(1e-12));
      const bool stopped = (ratio < 0.8 && advantage < 0.0) || (ratio > 1.2 && advantage > 0.0);
      REQUIRE(leaf.grad()[i].item<double>() == Approx(stopped ? 0.0 : -ratio * advantage).margin(1e-12));
      without_gradient += stopped ? 1 : 0;
    }
    REQUIRE(clipped_share(leaf, old_terms, torch::tensor(advantage, torch::kFloat64), 0.2) ==
            Approx(static_cast<double>(without_gradient) / 7.0));
  }
}

TEST_CASE("policy loss: advantages broadcast and a wild ratio is bounded", "[rl][unit]") {
  const auto new_terms = torch::tensor({{100.0, 0.0}, {-100.0, 0.1}}, torch::kFloat64);
  const auto old_terms = torch::zeros({2, 2}, torch::kFloat64);
  REQUIRE(likelihood_ratio(new_terms, old_terms)[0][0].item<double>() == Approx(std::exp(10.0)));
  REQUIRE(likelihood_ratio(new_terms, old_terms)[1][0].item<double>() == Approx(std::exp(-10.0)));
  const auto advantages = torch::tensor({{1.0}, {-1.0}}, torch::kFloat64);  // one a rollout
  const auto loss = clipped_policy_loss(new_terms, old_terms, advantages, 0.2);
  const auto expected = torch::tensor({{-1.2, -1.0}, {0.8, std::exp(0.1)}}, torch::kFloat64);
  REQUIRE(all_close(loss, expected, 1e-12, 1e-12));
}

TEST_CASE("KL k3: it is never negative, 0 at equality, precise nearby, with its exact gradient",
          "[rl][unit]") {
  torch::manual_seed(25);
  const auto reference = torch::randn({4, 5}, torch::kFloat64);
  const auto current = reference + 0.5 * torch::randn({4, 5}, torch::kFloat64);
  const auto leaf = current.clone().set_requires_grad(true);
  const auto value = kl_k3(leaf, reference);
  REQUIRE((value >= 0).all().item<bool>());
  value.sum().backward();
  const auto numeric = testing::finite_difference_gradient(
      [&](const torch::Tensor& x) { return kl_k3(x, reference).sum(); }, current);
  REQUIRE(all_close(leaf.grad(), numeric, 1e-6, 1e-8));
  REQUIRE(kl_k3(reference, reference).abs().max().item<double>() == 0.0);
  // d^2/2 for a small d, where exp(d) - d - 1 has lost every digit in float32.
  const auto near = kl_k3(torch::zeros({1}), torch::full({1}, 1e-3F)).item<double>();
  REQUIRE(near == Approx(0.5e-6).epsilon(1e-2));
}

TEST_CASE("policy terms: wrong input is refused", "[rl][unit]") {
  const auto logits = torch::randn({2, 4});
  const auto draws = torch::zeros({2, 2}, torch::kInt64);
  REQUIRE(kind_of([&] {
            plackett_luce_log_likelihood(logits, torch::zeros({3, 2}, torch::kInt64));
          }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { plackett_luce_log_likelihood(logits, draws.to(torch::kInt32)); }) ==
          ErrorKind::kInternal);
  REQUIRE(kind_of([&] {
            plackett_luce_log_likelihood(logits, torch::zeros({2, 5}, torch::kInt64));
          }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { independent_log_likelihood(logits, draws[0]); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { gumbel_top_k(logits, torch::zeros({2, 3}), 1); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { gumbel_top_k(logits, torch::zeros_like(logits), 5); }) == ErrorKind::kInternal);
  REQUIRE(kind_of([&] { likelihood_ratio(logits, draws); }) == ErrorKind::kInternal);
}

}  // namespace
}  // namespace foresight
