// The recurrent layers of Qwen3-Next: the delta rule beside its definition, and states that are cut, repeated
// and padded.
#include "trainer/model/delta_net.h"

#include <torch/types.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "data/safetensors.h"
#include "tests/model/forward_passes.h"
#include "tests/reference/paths.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

DeltaSteps random_steps(std::int64_t tokens) {
  const torch::Tensor key = torch::randn({2, 3, tokens, 5});
  return {.query = torch::randn({2, 3, tokens, 5}),
          .key = key / key.norm(2, {-1}, /*keepdim=*/true),
          .value = torch::randn({2, 3, tokens, 4}),
          .kept = -torch::rand({2, 3, tokens}),
          .rate = torch::rand({2, 3, tokens})};
}

DeltaSteps part_of(const DeltaSteps& steps, std::int64_t first, std::int64_t count) {
  return {steps.query.narrow(2, first, count), steps.key.narrow(2, first, count),
          steps.value.narrow(2, first, count), steps.kept.narrow(2, first, count),
          steps.rate.narrow(2, first, count)};
}

/// The definition for one row and head, number by number: M' = e^kept (M - rate k (M^T k)^T) + rate k v^T.
torch::Tensor by_definition(const DeltaSteps& steps, std::int64_t row, std::int64_t head,
                            const torch::Tensor& memory) {
  const auto of = [&](const torch::Tensor& all) { return all[row][head].to(torch::kFloat64); };
  const torch::Tensor query = of(steps.query), key = of(steps.key), value = of(steps.value);
  const torch::Tensor kept = of(steps.kept), rate = of(steps.rate);
  torch::Tensor state = memory[row][head].to(torch::kFloat64);  // [dk, dv]
  std::vector<torch::Tensor> outputs;
  for (std::int64_t token = 0; token < key.size(0); ++token) {
    const torch::Tensor identity = torch::eye(key.size(1), torch::kFloat64);
    const torch::Tensor turned = identity - rate[token] * torch::outer(key[token], key[token]);
    state = torch::exp(kept[token]) * torch::matmul(turned, state) +
            rate[token] * torch::outer(key[token], value[token]);
    outputs.push_back(torch::mv(state.t(), query[token]));
  }
  return torch::stack(outputs);  // [T, dv]
}

}  // namespace

TEST_CASE("delta rule: by token and by chunk it is its definition, from any memory", "[model]") {
  torch::manual_seed(11);
  for (const std::int64_t tokens : {1, 2, 63, 64, 65, 200}) {
    CAPTURE(tokens);
    const DeltaSteps steps = random_steps(tokens);
    const torch::Tensor before = torch::randn({2, 3, 5, 4});
    torch::Tensor after_tokens = before.clone(), after_chunks = before.clone();
    const torch::Tensor by_token = delta_rule_by_token(steps, after_tokens);
    const torch::Tensor by_chunk = delta_rule_by_chunk(steps, after_chunks);
    CHECK(torch::allclose(by_token, by_chunk, 1e-4, 1e-5));
    CHECK(torch::allclose(after_tokens, after_chunks, 1e-4, 1e-5));
    for (const std::int64_t row : {0, 1}) {
      for (const std::int64_t head : {0, 2}) {
        const torch::Tensor expected = by_definition(steps, row, head, before);
        CHECK(torch::allclose(by_token[row][head].to(torch::kFloat64), expected, 1e-4, 1e-5));
        CHECK(torch::allclose(by_chunk[row][head].to(torch::kFloat64), expected, 1e-4, 1e-5));
      }
    }
  }
}

TEST_CASE("delta rule: where a text is cut does not matter", "[model]") {
  torch::manual_seed(12);
  const DeltaSteps steps = random_steps(150);
  torch::Tensor whole = torch::zeros({2, 3, 5, 4}), cut = whole.clone();
  const torch::Tensor expected = delta_rule_by_chunk(steps, whole);
  std::vector<torch::Tensor> outputs;
  for (std::int64_t first = 0, count = 0; first < 150; first += count) {
    count = std::min<std::int64_t>(first % 3 == 0 ? 37 : 1, 150 - first);
    const DeltaSteps part = part_of(steps, first, count);
    outputs.push_back(count == 1 ? delta_rule_by_token(part, cut) : delta_rule_by_chunk(part, cut));
  }
  CHECK(torch::allclose(torch::cat(outputs, 2), expected, 1e-4, 1e-5));
  CHECK(torch::allclose(cut, whole, 1e-4, 1e-5));
}

TEST_CASE("recurrent layers: padding in front of a row changes nothing of it", "[model]") {
  const Transformer model = Transformer::load(reference_folder() / "families/qwen3_next", {});
  torch::manual_seed(13);
  const torch::Tensor text = torch::randint(3, 61, {1, 40}, torch::kInt64);
  const std::int64_t padding = 9;
  const torch::Tensor padded = torch::cat({torch::zeros({1, padding}, torch::kInt64), text}, 1);
  const torch::Tensor other = torch::randint(3, 61, {1, 49}, torch::kInt64);
  FullCache cache(model.shape(), 2, 50, model.options()), alone(model.shape(), 1, 40, model.options());
  cache.set_padding(torch::tensor({padding, std::int64_t{0}}));
  const torch::Tensor both = torch::cat({padded, other});
  const torch::Tensor positions =
      torch::stack({(torch::arange(49) - padding).clamp_min(0), torch::arange(49)});
  std::vector<torch::Tensor> parts;
  const std::vector<std::pair<std::int64_t, std::int64_t>> cuts = {{0, 5}, {5, 30}, {35, 14}};
  for (const auto& [first, count] : cuts) {
    parts.push_back(model.forward(both.narrow(1, first, count), positions.narrow(1, first, count), cache));
  }
  const torch::Tensor found = torch::cat(parts, 1)[0].narrow(0, padding, 40);
  CHECK(torch::allclose(found, model.forward(text, torch::arange(40), alone)[0], 1e-4, 1e-4));

  // The row that is left goes on as by itself.
  cache.keep_rows(torch::tensor({std::int64_t{0}}));
  const torch::Tensor token = torch::full({1, 1}, 7, torch::kInt64);
  FullCache longer(model.shape(), 1, 41, model.options());
  const torch::Tensor expected =
      model.forward(torch::cat({text, token}, 1), torch::arange(41), longer)[0][40];
  const torch::Tensor next = model.forward(token, torch::full({1}, 40, torch::kInt64), cache);
  CHECK(torch::allclose(next[0][0], expected, 1e-4, 1e-4));
}

TEST_CASE("recurrent layers: a state's rows are repeated and kept, and its bytes do not grow", "[model]") {
  const RecurrentShape shape{
      .key_heads = 2, .value_heads = 4, .key_dimension = 3, .value_dimension = 5, .convolution = 4};
  RecurrentState state(shape, 2, torch::kCPU);
  CHECK(state.bytes() == 2 * RecurrentState::bytes_of(shape));
  CHECK(RecurrentState::bytes_of(shape) == 4 * ((2 * 2 * 3 + 4 * 5) * 3 + 4 * 3 * 5));
  state.memory[1].fill_(2);
  state.begin(6, 10);
  CHECK(state.memory.size(0) == 6);
  for (const std::int64_t row : {1, 3, 5}) CHECK(state.memory[row].eq(2).all().item<bool>());
  CHECK_FALSE(state.padded_tokens().defined());
  state.keep_rows(torch::tensor({std::int64_t{0}, std::int64_t{5}}));
  CHECK((state.memory.size(0) == 2 && state.inputs.size(0) == 2));
  CHECK(state.memory[1].eq(2).all().item<bool>());
  state.set_padding(torch::tensor({std::int64_t{12}, std::int64_t{0}}));
  state.begin(2, 3);  // tokens 10, 11 and 12
  CHECK(torch::equal(state.padded_tokens().squeeze(-1),
                     torch::tensor({{true, true, false}, {false, false, false}})));
}
