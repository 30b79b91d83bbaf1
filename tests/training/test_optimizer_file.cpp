#include <torch/types.h>
#include <torch/utils.h>

#include "tests/base/temporary_folder.h"
#include "trainer/base/error.h"
#include "trainer/model/tensor_io.h"
#include "trainer/training/optimizer_file.h"
#include "trainer/training/training_session.h"
// after torch: c10 defines CHECK too
#include "tests/comm/world_of_threads.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace
using Catch::Contains;

namespace {

std::vector<torch::Tensor> two_parameters() {
  return {torch::arange(6, torch::kFloat32).view({2, 3}).requires_grad_(), torch::ones({4}).requires_grad_()};
}

void train(torch::optim::Adam& optimizer, const std::vector<torch::Tensor>& parameters, int steps) {
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    ((parameters[0] - 1).square().sum() + parameters[1].pow(4).sum()).backward();
    optimizer.step();
  }
}

ModelShape one_layer() {
  ModelShape shape;
  shape.layers = 1;
  shape.query_heads = shape.kv_heads = 2;
  shape.head_dimension = 4;
  return shape;
}

}  // namespace

TEST_CASE("optimizer file: training resumes from a file with the same bits", "[training]") {
  const TemporaryFolder folder;
  const auto straight = two_parameters();
  torch::optim::Adam whole(straight, torch::optim::AdamOptions(0.1));
  train(whole, straight, 5);

  const auto first = two_parameters();
  torch::optim::Adam before(first, torch::optim::AdamOptions(0.1));
  train(before, first, 3);
  save_optimizer(before, first, folder / "adam.safetensors");
  torch::optim::Adam after(first, torch::optim::AdamOptions(0.1));
  load_optimizer(after, first, folder / "adam.safetensors");
  train(after, first, 2);
  for (std::size_t i = 0; i < first.size(); ++i) CHECK(torch::equal(first[i], straight[i]));
}

TEST_CASE("optimizer file: moments of another scorer and a damaged count are refused by name", "[training]") {
  const TemporaryFolder folder;
  const auto file = folder / "adam.safetensors";
  const auto parameters = two_parameters();
  torch::optim::Adam optimizer(parameters, torch::optim::AdamOptions(0.1));
  train(optimizer, parameters, 1);
  save_optimizer(optimizer, parameters, file);
  const auto loads = [&](const std::vector<torch::Tensor>& other) {
    torch::optim::Adam fresh(other, torch::optim::AdamOptions(0.1));
    load_optimizer(fresh, other, file);
  };
  REQUIRE_THROWS_WITH(
      loads({torch::ones({3, 2}), torch::ones({4})}),
      Contains("adam.safetensors") && Contains("'parameter.0.first_moment'") && Contains("[3, 2]"));
  REQUIRE_THROWS_WITH(loads({torch::ones({2, 3}), torch::ones({4}, torch::kFloat64)}),
                      Contains("'parameter.1.first_moment'"));
  REQUIRE_THROWS_WITH(loads({torch::ones({2, 3}), torch::ones({4}), torch::ones({1})}),
                      Contains("parameter.2.first_moment"));
  for (const char* updates : {"", "3x", "-1", "99999999999999999999"}) {
    write_safetensors(file, {tensor_to_write("x", torch::ones({1}))}, {{"updates", updates}});
    REQUIRE_THROWS_WITH(loads(parameters), Contains("metadata 'updates'"));
  }
}

TEST_CASE(
    "training session: a gradient that is not finite stops with layer and step, before any weight moves",
    "[training]") {
  const TemporaryFolder folder;
  Config config;
  config.output = folder.path().string();
  ModelShape shape = one_layer();
  shape.layers = 2;
  config.supervised.steps = 10;
  TrainingSession session(TrainingStart(config, Stage::kSupervised, {}, alone()),
                          Scorer::random(shape, {}, RandomStream(1, "test")));
  const auto parameters = session.scorer().parameters();
  std::vector<torch::Tensor> before;
  for (const torch::Tensor& parameter : parameters) {
    before.push_back(parameter.detach().clone());
    parameter.mutable_grad() = torch::ones_like(parameter);
  }
  parameters[5].mutable_grad().view(-1)[0] = INFINITY;
  try {
    session.update(0.1, 1.0);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kNumeric);
    CHECK_THAT(error.what(), Contains("supervised: step 1: the gradient of layer 1 is not finite"));
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) CHECK(torch::equal(parameters[i], before[i]));
}

TEST_CASE("training session: a rank whose weights drift is named", "[training]") {
  const TemporaryFolder folder;
  Config config;
  config.output = folder.path().string();
  config.runtime.compare_ranks_every = 2;
  config.supervised.steps = 10;
  config.supervised.checkpoint.resume = "never";
  const auto train_with = [&](std::int64_t drift_at) {
    run_ranks(3, [&](World& world) {
      TrainingSession session(TrainingStart(config, Stage::kSupervised, {}, world),
                              Scorer::random(one_layer(), {}, RandomStream(1, "test")));
      for (std::int64_t step = 1; step <= 4; ++step) {
        const auto weights = session.scorer().parameters();
        for (const torch::Tensor& weight : weights) weight.mutable_grad() = torch::ones_like(weight);
        session.update(0.1, 1.0);
        const torch::NoGradGuard no_grad;
        if (step == drift_at && world.rank() == 1) weights[0].view(-1)[0] += 0.5;
        try {
          session.end_step({{"step", step}}, {}, std::nullopt);
        } catch (const Error& error) {
          const std::string message = error.what();
          return error.kind() == ErrorKind::kPeer && step == 4 &&
                 message.find("rank 1 on thread differ from rank 0's after step 4") != std::string::npos;
        }
      }
      return drift_at == 0;
    });
  };
  train_with(0);
  train_with(3);
}
