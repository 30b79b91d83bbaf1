// What the oracle records of families with layers of several kinds, against `transformers`
// (tests/reference/families/make_evicted.py).
#include <torch/types.h>

#include "data/oracle_file.h"
#include "data/safetensors.h"
#include "golden_eviction/future_attention.h"
#include "golden_eviction/oracle_stage.h"
#include "tests/base/temporary_folder.h"
#include "tests/data/whole_layer.h"
#include "tests/reference/paths.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("oracle: of every layer with full attention, and of no other, the attention is transformers'",
          "[golden_eviction]") {
  const auto folder = reference_folder() / "families";
  const SafetensorsFile fixture(folder / "evicted.safetensors");
  const std::int64_t window = view_tensor(fixture.at("size"))[1].item<std::int64_t>();
  for (const char* name : {"qwen2_sliding", "qwen3_sliding", "ministral", "olmo2", "olmo3", "smollm3", "phi3",
                           "phi4_mini", "gemma2", "gemma3", "gemma3_older", "gpt_oss", "qwen3_next",
                           "qwen3_next_biases", "qwen3_5", "qwen3_5_moe"}) {
    CAPTURE(name);
    const torch::Tensor expected = view_tensor(fixture.at(concat(name, ".attention")));  // [E, K, blocks, L]
    const torch::Tensor numbers = view_tensor(fixture.at(concat(name, ".layers")));
    const torch::Tensor tokens = view_tensor(fixture.at(concat(name, ".tokens")));
    TokenRow row;
    for (std::int64_t i = 0; i < tokens.size(0); ++i)
      row.tokens.push_back(static_cast<std::int32_t>(tokens[i].item<std::int64_t>()));
    row.completion.assign(row.tokens.size(), 1);
    const TemporaryFolder temporary;
    const auto file = temporary.path() / "trace.h5";
    record_trace(Transformer::load(folder / name, {}), row, "trace", window, 0, {}, file);
    const OracleReader reader(file);
    const OracleDimensions& dimensions = reader.dimensions();
    REQUIRE(dimensions.layers == numbers.size(0));
    for (std::int64_t layer = 0; layer < dimensions.layers; ++layer) {
      CHECK(dimensions.number(layer) == numbers[layer].item<std::int64_t>());
      std::vector<std::uint16_t> bits = whole_layer(reader, layer);
      const torch::Tensor packed =
          torch::from_blob(bits.data(), {dimensions.kv_heads, dimensions.packed_elements()}, torch::kFloat16);
      const torch::Tensor found =
          unpack_windows(packed, dimensions, window, 0, windows_of(dimensions.tokens, window));
      CHECK((found - expected[layer]).abs().max().item<float>() < 1e-3F);  // float16 of values up to 1
    }
  }
}
