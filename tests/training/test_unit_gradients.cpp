#include <torch/types.h>

#include "trainer/base/error.h"
#include "trainer/training/unit_gradients.h"
// after torch: c10 defines CHECK too
#include "tests/comm/world_of_threads.h"

namespace foresight {
namespace {

/// Two leaves whose loss of unit u has awkward gradients: values of very different size, so that the order of
/// summation shows in the bytes.
struct Leaves {
  torch::Tensor a = torch::zeros({3}).requires_grad_(), b = torch::zeros({2, 2}).requires_grad_();
  std::vector<torch::Tensor> all() const { return {a, b}; }
  void backward(std::int64_t unit) const {
    const float size = unit % 2 == 0 ? 1e8F : 1.37F / static_cast<float>(unit + 1);
    ((a * size).sum() + (b * (unit == 1 ? -1e8F : size)).sum()).backward();
  }
};

constexpr std::int64_t kUnits = 7;

/// The gradients after a step of `ranks` ranks, as rank 0 has them; all ranks must have the same.
std::vector<torch::Tensor> step_on(int ranks, SumOrder order, const std::vector<std::int64_t>& costs) {
  std::vector<std::vector<torch::Tensor>> found(static_cast<std::size_t>(ranks));
  run_ranks(ranks, [&](World& world) {
    const Leaves leaves;
    const std::vector<int> rank_of = deal(costs, world.size());
    UnitGradients gradients(world, leaves.all(), rank_of, order);
    for (std::int64_t unit = 0; unit < kUnits; ++unit) {
      if (rank_of[static_cast<std::size_t>(unit)] != world.rank()) continue;
      leaves.backward(unit);
      gradients.add_unit("test");
    }
    gradients.set_summed_gradients();
    found[static_cast<std::size_t>(world.rank())] = {leaves.a.grad().clone(), leaves.b.grad().clone()};
    return true;
  });
  for (const auto& rank : found) {
    CHECK(torch::equal(rank[0], found[0][0]));
    CHECK(torch::equal(rank[1], found[0][1]));
  }
  return found[0];
}

TEST_CASE("unit gradients: in fixed order the same bytes for any number of ranks and any assignment",
          "[training]") {
  // One process, plainly: backward adds unit after unit.
  const Leaves plain;
  for (std::int64_t unit = 0; unit < kUnits; ++unit) plain.backward(unit);
  for (const int ranks : {1, 2, 4, 9}) {
    for (const std::vector<std::int64_t>& costs :
         {std::vector<std::int64_t>(kUnits, 1), {1, 9, 2, 8, 3, 7, 4}}) {
      const auto found = step_on(ranks, SumOrder::kFixed, costs);
      CHECK(torch::equal(found[0], plain.a.grad()));
      CHECK(torch::equal(found[1], plain.b.grad()));
    }
  }
}

TEST_CASE("unit gradients: in any order the same sum up to rounding", "[training]") {
  const auto fixed = step_on(1, SumOrder::kFixed, std::vector<std::int64_t>(kUnits, 1));
  for (const int ranks : {2, 9}) {
    const auto found = step_on(ranks, SumOrder::kAny, std::vector<std::int64_t>(kUnits, 1));
    CHECK(torch::allclose(found[0], fixed[0], 1e-5));
    CHECK(torch::allclose(found[1], fixed[1], 1e-5, 1e2));  // 1e8 cancels: one unit in the last place is 8
  }
}

TEST_CASE("unit gradients: a unit that was not added is an error", "[training]") {
  const Leaves leaves;
  UnitGradients gradients(alone(), leaves.all(), {0, 0}, SumOrder::kFixed);
  leaves.backward(0);
  gradients.add_unit("test");
  CHECK_THROWS_WITH(gradients.set_summed_gradients(), Catch::Contains("gradients of 1 units of 2"));
}

TEST_CASE("unit gradients: one that is not finite is named with its unit and its layer", "[training]") {
  std::vector<torch::Tensor> parameters;
  for (int i = 0; i < 8; ++i) parameters.push_back(torch::zeros({3}).requires_grad_());
  UnitGradients gradients(alone(), parameters, {0, 0}, SumOrder::kFixed);
  for (torch::Tensor& parameter : parameters) parameter.mutable_grad() = torch::ones({3});
  parameters[2].mutable_grad().reset();  // a parameter without a gradient keeps its place
  CHECK_NOTHROW(gradients.add_unit("supervised: step 3, trace train-000001"));
  for (const torch::Tensor& parameter : parameters) CHECK_FALSE(parameter.grad().defined());
  parameters[6].mutable_grad() = torch::full({3}, NAN);
  try {
    gradients.add_unit("supervised: step 3, trace train-000007");
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kNumeric);
    CHECK_THAT(error.what(), Catch::Contains("step 3, trace train-000007: the gradient of layer 1 is not") &&
                                 Catch::Contains("the last checkpoint is kept"));
  }
  for (const auto& [culprit, layer] :
       {std::pair{0, "layer 0 "}, {3, "layer 0 "}, {4, "layer 1 "}, {7, "layer 1 "}}) {
    for (torch::Tensor& parameter : parameters) parameter.mutable_grad() = torch::ones({3});
    parameters[static_cast<std::size_t>(culprit)].mutable_grad()[2] = -INFINITY;
    CHECK_THROWS_WITH(require_finite_gradients(parameters, "here"),
                      Catch::Contains(std::string("here: the gradient of ") + layer + "is not finite"));
  }
}

}  // namespace
}  // namespace foresight
