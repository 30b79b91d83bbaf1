// Every supported family against `transformers` (tests/reference/families/make_fixture.py).
#include <torch/types.h>

#include "data/safetensors.h"
#include "tests/model/forward_passes.h"
#include "tests/reference/paths.h"
#include "trainer/base/text.h"
#include "trainer/eviction/full_run.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

struct Family {
  const char* name;
  const char* architecture;
  /// Sums of 32 to 64 products in another order: a few units in the last place of logits up to 10.
  double tolerance = 5e-5;
  bool depends_on_passes = false;  ///< rope types dynamic and longrope: the cut into passes shows
};
constexpr Family kFamilies[] = {{"llama3", "LlamaForCausalLM"},
                                {"llama_linear", "LlamaForCausalLM"},
                                {"llama_dynamic", "LlamaForCausalLM", 5e-5, true},
                                {"mistral", "MistralForCausalLM"},
                                {"qwen2", "Qwen2ForCausalLM"},
                                {"qwen2_yarn", "Qwen2ForCausalLM"},
                                {"qwen3", "Qwen3ForCausalLM"},
                                {"qwen3_yarn", "Qwen3ForCausalLM"},
                                {"qwen3_moe", "Qwen3MoeForCausalLM"},
                                {"qwen3_moe_stacked", "Qwen3MoeForCausalLM"},
                                {"qwen2_sliding", "Qwen2ForCausalLM"},
                                {"qwen3_sliding", "Qwen3ForCausalLM"},
                                {"ministral", "MinistralForCausalLM"},
                                {"olmo2", "Olmo2ForCausalLM"},
                                {"olmo3", "Olmo3ForCausalLM"},
                                // The float32 logits of transformers are themselves 4e-5 (gpt_oss and
                                // qwen3_next: up to 5e-5) from those in float64.
                                {"smollm3", "SmolLM3ForCausalLM", 2e-4},
                                {"phi3", "Phi3ForCausalLM"},
                                {"phi4_mini", "Phi3ForCausalLM", 5e-5, true},
                                {"phi3_short", "Phi3ForCausalLM"},
                                {"gemma2", "Gemma2ForCausalLM"},
                                {"gemma3", "Gemma3ForCausalLM"},
                                {"gemma3_older", "Gemma3ForCausalLM"},
                                {"gpt_oss", "GptOssForCausalLM", 2e-4},
                                {"gpt_oss_mxfp4", "GptOssForCausalLM"},
                                {"qwen3_next", "Qwen3NextForCausalLM", 2e-4},
                                {"qwen3_next_biases", "Qwen3NextForCausalLM"},
                                {"qwen3_5", "Qwen3_5ForCausalLM"},
                                {"qwen3_5_moe", "Qwen3_5MoeForCausalLM"}};

SafetensorsFile fixture_of(const Family& family) {
  return SafetensorsFile(reference_folder() / "families" / concat(family.name, ".safetensors"));
}

/// Token by token, as generation does, without an end token.
std::vector<std::int64_t> greedy_tokens(const Transformer& model, const torch::Tensor& prompt,
                                        std::int64_t count) {
  FullCache cache(model.shape(), 1, prompt.size(0) + count, model.options());
  std::vector<std::int64_t> tokens;
  torch::Tensor hidden = model.forward(prompt.unsqueeze(0), torch::arange(prompt.size(0)), cache);
  for (std::int64_t position = prompt.size(0); static_cast<std::int64_t>(tokens.size()) < count; ++position) {
    tokens.push_back(
        model.logits(hidden[0].narrow(0, hidden.size(1) - 1, 1)).argmax(-1).item<std::int64_t>());
    hidden = model.forward(torch::full({1, 1}, tokens.back(), torch::kInt64),
                           torch::full({1}, position, torch::kInt64), cache);
  }
  return tokens;
}

}  // namespace

TEST_CASE("families: logits, entropies and greedy tokens agree with transformers", "[model]") {
  for (const Family& family : kFamilies) {
    CAPTURE(family.name);
    const SafetensorsFile fixture = fixture_of(family);
    const Transformer model = Transformer::load(reference_folder() / "families" / family.name, {});
    CHECK(model.shape().architecture == family.architecture);
    const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
    const torch::Tensor expected = view_tensor(fixture.at("logits"));
    const std::int64_t length = tokens.size(1);
    CHECK(largest_difference(all_logits(model, tokens, length), expected) < family.tolerance);
    if (!family.depends_on_passes) {
      CHECK(largest_difference(all_logits(model, tokens, 7), expected) < family.tolerance);
    }
    const torch::Tensor entropy = view_tensor(fixture.at("entropy"))[0];
    CHECK(largest_difference(full_pass(model, tokens[0], length).entropy.narrow(0, 1, length - 1),
                             entropy.narrow(0, 0, length - 1)) < family.tolerance);
    const torch::Tensor greedy = view_tensor(fixture.at("greedy"));
    const std::int64_t prompt_tokens = view_tensor(fixture.at("prompt_tokens")).item<std::int64_t>();
    const std::vector<std::int64_t> wanted(greedy.data_ptr<std::int64_t>(),
                                           greedy.data_ptr<std::int64_t>() + greedy.numel());
    CHECK(greedy_tokens(model, tokens[0].narrow(0, 0, prompt_tokens), greedy.numel()) == wanted);
  }
}

TEST_CASE("families: products in bfloat16 move logits by their rounding alone", "[model]") {
  const ModelOptions options{.dtype = torch::kBFloat16, .cache_dtype = torch::kBFloat16};
  for (const char* name : {"llama3", "qwen3_sliding", "olmo2", "smollm3", "phi4_mini", "gemma2", "gemma3",
                           "gpt_oss_mxfp4", "qwen3_5"}) {
    CAPTURE(name);
    const SafetensorsFile fixture = fixture_of({name, ""});
    const Transformer model = Transformer::load(reference_folder() / "families" / name, options);
    const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
    const torch::Tensor expected = view_tensor(fixture.at("logits"));
    const torch::Tensor found = all_logits(model, tokens, tokens.size(1));
    // 8 bits of mantissa: about a hundredth of what logits vary by, and a few layers.
    CHECK(((found - expected).abs().mean() / expected.std()).item<double>() < 0.05);
  }
}

TEST_CASE("families: the longest text follows from the rope scaling", "[model]") {
  const auto longest = [](const char* name) {
    return read_model_shape(reference_folder() / "families" / name).max_positions;
  };
  CHECK(longest("llama3") == 256);         // stated, not 8 x 32
  CHECK(longest("llama_linear") == 160);   // 2.5 x 64
  CHECK(longest("llama_dynamic") == 160);  // 4 x 40
  CHECK(longest("qwen2_yarn") == 128);     // 4 x 32
  CHECK(longest("qwen3_yarn") == 128);     // stated and 4 x 32
  CHECK(longest("mistral") == 256);
}
