// Which layers of a model see the whole text: config.json's layer_types and windows.
#include "tests/model_files/family_config.h"

namespace foresight {
namespace {

using Catch::Contains;

ModelShape shape_of(const std::string& architecture, const std::string& more) {
  return family_shape(architecture, more, 3);
}

std::string fault_of(const std::string& architecture, const std::string& more) {
  return family_fault(architecture, more, 3);
}

/// layer_types of three layers: f and s.
std::string types(const std::string& letters) {
  std::vector<std::string> names;
  for (const char letter : letters)
    names.emplace_back(letter == 'f' ? "\"full_attention\"" : "\"sliding_attention\"");
  return concat("\"layer_types\": [", join(names, ", "), "], ");
}

using Numbers = std::vector<std::int64_t>;
const std::string kAsked = R"("use_sliding_window": true, "sliding_window": 16, )";

TEST_CASE("layer kinds: the layers that evict are those with full attention, by the model's numbers") {
  const ModelShape listed = shape_of("Qwen3ForCausalLM", kAsked + types("sfs"));
  CHECK(listed.evicting_layer_numbers() == Numbers{1});
  CHECK((listed.evicting_layers() == 1 && listed.sliding_window == 16));
  CHECK(layers_text(listed) == "3 layers, of which 1 evicts (1)");
  const std::vector<LayerPlace> places = listed.layer_places();
  CHECK((!places[0].evicts() && places[1].evicts() && !places[2].evicts()));
  CHECK((places[0].index == 0 && places[1].index == 0 && places[2].index == 1));
  CHECK(layers_text(shape_of("MinistralForCausalLM", "\"sliding_window\": 16, " + types("fsf"))) ==
        "3 layers, of which 2 evict (0, 2)");
}

TEST_CASE("layer kinds: without layer_types the family's own rule holds") {
  CHECK(shape_of("Qwen2ForCausalLM", kAsked + "\"max_window_layers\": 2, ").evicting_layer_numbers() ==
        Numbers{0, 1});
  CHECK(shape_of("Qwen2ForCausalLM", kAsked).evicting_layers() == 3);  // max_window_layers is 28 where absent
  CHECK(
      shape_of("Qwen2ForCausalLM", "\"sliding_window\": 16, \"max_window_layers\": 1, ").evicting_layers() ==
      3);
  for (const char* null : {"MistralForCausalLM", "MinistralForCausalLM", "LlamaForCausalLM"})
    CHECK(shape_of(null, "\"sliding_window\": null, ").evicting_layers() == 3);
}

TEST_CASE("layer kinds: OLMo-3 and SmolLM3 have rules of their own") {
  CHECK(shape_of("Olmo3ForCausalLM", "\"sliding_window\": null, " + types("fff")).evicting_layers() == 3);
  // Without sliding_window its window is one of 4096 tokens, which no text of 64 exceeds.
  CHECK(shape_of("Olmo3ForCausalLM", "").evicting_layers() == 3);
  CHECK_THAT(fault_of("Olmo3ForCausalLM", "\"sliding_window\": 8, "),
             Contains("no layer has full attention"));
  const ModelShape smollm3 = shape_of("SmolLM3ForCausalLM", "\"no_rope_layer_interval\": 2, ");
  CHECK((smollm3.kind(0).rotates && !smollm3.kind(1).rotates && smollm3.kind(2).rotates));
  CHECK((smollm3.evicting_layers() == 3 && smollm3.tied_embeddings && smollm3.rope.theta == 2e6));
  CHECK(shape_of("SmolLM3ForCausalLM", kAsked + "\"no_rope_layers\": [1, 0, 1], ").evicting_layer_numbers() ==
        Numbers{0, 2});
  for (const char* list : {"[1, 0]", "1", "[]"}) {
    CHECK_THAT(fault_of("SmolLM3ForCausalLM", concat("\"no_rope_layers\": ", list, ", ")),
               Contains("'no_rope_layers': expected a list of 3 numbers"));
  }
  CHECK_THAT(fault_of("SmolLM3ForCausalLM", "\"no_rope_layers\": [1, 2, 1], "),
             Contains("'no_rope_layers': layer 1: expected 0 or 1, got 2"));
}

TEST_CASE("layer kinds: a window that no text exceeds is none") {
  const ModelShape shape = shape_of("MistralForCausalLM", "\"sliding_window\": 64, ");
  CHECK((shape.evicting_layers() == 3 && shape.sliding_window == 0));
  CHECK_THAT(fault_of("MistralForCausalLM", "\"sliding_window\": 63, "),
             Contains("'sliding_window': every layer sees the last 63 tokens alone") &&
                 Contains("no layer has full attention"));
}

TEST_CASE("layer kinds: what cannot be is refused by key") {
  CHECK_THAT(fault_of("Qwen3ForCausalLM", kAsked + "\"layer_types\": 3, "),
             Contains("'layer_types': expected a list"));
  CHECK_THAT(
      fault_of("Qwen3ForCausalLM",
               kAsked + R"("layer_types": ["full_attention", "chunked_attention", "full_attention"], )"),
      Contains("'layer_types': layer 1: \"chunked_attention\" is not supported"));
  CHECK_THAT(fault_of("Qwen3ForCausalLM", kAsked + types("sf")),
             Contains("'layer_types': 2 entries, num_hidden_layers is 3"));
  CHECK_THAT(
      fault_of("MinistralForCausalLM", "\"sliding_window\": null, " + types("fsf")),
      Contains("'sliding_window': expected a number of tokens, as layer 1 is sliding_attention; found null"));
  CHECK_THAT(fault_of("Qwen3ForCausalLM", "\"sliding_window\": 16, " + types("ffs")),
             Contains("as layer 2 is sliding_attention, and use_sliding_window true"));
  CHECK_THAT(fault_of("MinistralForCausalLM", "\"sliding_window\": 16, "),
             Contains("no layer has full attention"));
  CHECK_THAT(fault_of("Qwen3MoeForCausalLM",
                      kAsked + R"("num_experts": 4, "moe_intermediate_size": 8, "num_experts_per_tok": 2, )"),
             Contains("no layer has full attention"));
  CHECK_THAT(fault_of("MistralForCausalLM", "\"sliding_window\": 0, "),
             Contains("'sliding_window': out of range: 0"));
  CHECK_THAT(fault_of("LlamaForCausalLM", "\"sliding_window\": 16, "),
             Contains("'sliding_window': sliding windows are not supported for LlamaForCausalLM"));
  CHECK_THAT(fault_of("LlamaForCausalLM", types("fsf")),
             Contains("'layer_types': sliding windows are not supported for LlamaForCausalLM"));
}

}  // namespace
}  // namespace foresight
