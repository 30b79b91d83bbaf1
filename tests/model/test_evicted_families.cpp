// Every supported family under eviction, against `transformers` with masks
// (tests/reference/families/make_evicted.py).
#include <torch/types.h>

#include "data/safetensors.h"
#include "tests/eviction/evicted_losses.h"
#include "tests/model/forward_passes.h"
#include "tests/reference/paths.h"
#include "trainer/base/text.h"
#include "trainer/eviction/evicted_run.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("families: losses under eviction are those of transformers' attention without the evicted entries",
          "[model]") {
  const auto folder = reference_folder() / "families";
  const SafetensorsFile fixture(folder / "evicted.safetensors");
  const torch::Tensor numbers = view_tensor(fixture.at("size"));
  const CacheSize size{numbers[0].item<std::int64_t>(), numbers[1].item<std::int64_t>()};
  for (const char* name : {"llama3",        "llama_linear",  "mistral",
                           "qwen2",         "qwen2_yarn",    "qwen3",
                           "qwen3_yarn",    "qwen3_moe",     "qwen3_moe_stacked",
                           "qwen2_sliding", "qwen3_sliding", "ministral",
                           "olmo2",         "olmo3",         "smollm3",
                           "phi3",          "phi4_mini",     "phi3_short",
                           "gemma2",        "gemma3",        "gemma3_older",
                           "gpt_oss",       "qwen3_next",    "qwen3_next_biases",
                           "qwen3_5",       "qwen3_5_moe"}) {
    CAPTURE(name);
    const Transformer model = Transformer::load(folder / name, {});
    const torch::Tensor tokens = view_tensor(fixture.at(concat(name, ".tokens"))).clone();
    const torch::Tensor evicted =
        view_tensor(fixture.at(concat(name, ".evicted")));  // [evicting layers, K, S, W]
    REQUIRE(evicted.size(0) == model.shape().evicting_layers());
    const EvictionSelector select = [&](const EvictionView& view) {
      const torch::Tensor gone = evicted[view.layer].select(1, view.step).unsqueeze(0).contiguous();
      return torch::searchsorted(view.positions.narrow(2, 0, view.budget).contiguous(), gone);
    };
    const torch::Tensor losses = evicted_losses(model, tokens.unsqueeze(0), size, /*copies=*/1, select)[0];
    const std::int64_t first = size.entries() + 1;  // the first token that an eviction can touch
    const torch::Tensor expected = view_tensor(fixture.at(concat(name, ".losses")));
    REQUIRE(losses.size(0) == expected.size(0));
    CHECK(largest_difference(losses.slice(0, first), expected.slice(0, first)) < 1e-4);
  }
}
