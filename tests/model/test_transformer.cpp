#include <torch/cuda.h>
#include <torch/types.h>

#include <fstream>
#include <limits>

#include "tests/base/temporary_folder.h"
#include "tests/model/changed_model.h"
#include "tests/model/forward_passes.h"
#include "tests/reference/paths.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/eviction/full_run.h"
#include "trainer/model/tensor_io.h"
#include "trainer/model/transformer.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

namespace {

/// A copy of the tiny model's folder to damage.
struct TinyCopy {
  TemporaryFolder temporary;
  std::filesystem::path folder = temporary / "model";
  TinyCopy() { std::filesystem::copy(reference_folder() / "llama/tiny", folder); }
  void replace_in_config(const std::string& from, const std::string& to) const {
    std::ifstream in(folder / "config.json");
    std::string text((std::istreambuf_iterator<char>(in)), {});
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    std::ofstream(folder / "config.json") << text;
  }
};

}  // namespace

TEST_CASE("transformer: logits of tiny Llamas equal transformers', whole and in chunks", "[model]") {
  const SafetensorsFile fixture(reference_folder() / "llama/tiny.safetensors");
  const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
  for (const auto& [folder, name] : {std::pair{"tiny", "logits_tied"}, {"tiny_untied", "logits_untied"}}) {
    const Transformer model = Transformer::load(reference_folder() / "llama" / folder, {});
    const torch::Tensor expected = view_tensor(fixture.at(name));
    for (const std::int64_t chunk : {40, 7, 1}) {
      CHECK(largest_difference(all_logits(model, tokens, chunk), expected) < 1e-4);
    }
  }
}

TEST_CASE("transformer: loss and entropy follow from the logits", "[model]") {
  const SafetensorsFile fixture(reference_folder() / "llama/tiny.safetensors");
  const Transformer model = Transformer::load(reference_folder() / "llama/tiny", {});
  const torch::Tensor tokens = view_tensor(fixture.at("tokens"))[0].clone();
  const FullPass pass = full_pass(model, tokens, 16);
  const torch::Tensor log_probability =
      torch::log_softmax(view_tensor(fixture.at("logits_tied"))[0].to(torch::kFloat64), -1);
  REQUIRE(pass.loss[0].item<double>() == 0.0);
  for (std::int64_t t = 1; t < tokens.size(0); ++t) {
    const torch::Tensor row = log_probability[t - 1];
    CHECK(pass.loss[t].item<double>() ==
          Approx(-row[tokens[t].item<std::int64_t>()].item<double>()).margin(1e-4));
    CHECK(pass.entropy[t].item<double>() == Approx(-(row.exp() * row).sum().item<double>()).margin(1e-4));
  }
}

TEST_CASE("transformer: logits and entropy of the real SmolLM2 agree with transformers to 1e-3", "[model]") {
  if (!std::filesystem::exists(smollm2_folder())) {
    WARN("NOT RUN: no " << smollm2_folder() << " (scripts/setup.sh --model makes it)");
    return;
  }
  const SafetensorsFile fixture(reference_folder() / "llama/smollm2.safetensors");
  const Transformer model = Transformer::load(smollm2_folder(), {});
  const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
  const torch::Tensor logits = all_logits(model, tokens.unsqueeze(0), 64)[0];
  const torch::Tensor columns = view_tensor(fixture.at("columns")).clone();
  CHECK(largest_difference(logits.index_select(1, columns), view_tensor(fixture.at("logits"))) < 1e-3);
  const FullPass pass = full_pass(model, tokens, 64);
  CHECK(largest_difference(pass.entropy.narrow(0, 1, 95),
                           view_tensor(fixture.at("entropy")).narrow(0, 0, 95)) < 1e-3);
}

TEST_CASE("transformer: bfloat16 stays near float32", "[model]") {
  const SafetensorsFile fixture(reference_folder() / "llama/tiny.safetensors");
  const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
  const Transformer model =
      Transformer::load(reference_folder() / "llama/tiny", {torch::kCPU, torch::kBFloat16, torch::kBFloat16});
  REQUIRE(model.dtype_name() == "bfloat16");
  const torch::Tensor expected = view_tensor(fixture.at("logits_tied"));
  // bfloat16 keeps 8 bits: products of this depth agree to a few per cent of the logits' spread.
  CHECK(largest_difference(all_logits(model, tokens, 40), expected) <
        0.1 * expected.abs().max().item<double>());
}

TEST_CASE("transformer: a folder that does not fit is refused by name", "[model]") {
  const TinyCopy copy;
  SECTION("a missing weight file") {
    std::filesystem::remove(copy.folder / "model.safetensors");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("model.safetensors"));
  }
  SECTION("a truncated weight file") {
    std::filesystem::resize_file(copy.folder / "model.safetensors", 5000);
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("model.safetensors"));
  }
  SECTION("a shape that config.json contradicts, and tensors left over") {
    copy.replace_in_config("\"intermediate_size\": 80", "\"intermediate_size\": 81");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}),
                        Catch::Contains("gate_proj") && Catch::Contains("81"));
  }
  SECTION("a layer too many in the file") {
    copy.replace_in_config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("not part of the architecture"));
  }
  SECTION("sizes that no memory holds") {
    copy.replace_in_config("\"vocab_size\": 97", "\"vocab_size\": 16777216");
    copy.replace_in_config("\"hidden_size\": 48", "\"hidden_size\": 16777216");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}),
                        Catch::Contains("embed_tokens") && Catch::Contains("asks for [16777216, 16777216]"));
  }
  SECTION("another architecture") {
    copy.replace_in_config("LlamaForCausalLM", "GemmaForCausalLM");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("GemmaForCausalLM"));
  }
  SECTION("another rope type") {
    copy.replace_in_config("\"rope_type\": \"default\"", "\"rope_type\": \"longrope\"");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("longrope"));
  }
  SECTION("heads that do not divide") {
    copy.replace_in_config("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 4");
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("num_key_value_heads"));
  }
  SECTION("a sharded folder whose index is none") {
    std::filesystem::remove(copy.folder / "model.safetensors");
    for (const auto& [index, words] :
         {std::pair{"[]", "expected a JSON object"},
          {"{}", "weight_map"},
          {R"({"weight_map": {"a": 3}})", "weight_map of 'a': expected the path of a file"},
          {R"({"weight_map": {"a": "../b.safetensors"}})",
           "weight_map of 'a': expected the path of a file"}}) {
      std::ofstream(copy.folder / "model.safetensors.index.json") << index;
      REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}),
                          Catch::Contains("model.safetensors.index.json") && Catch::Contains(words));
    }
  }
  SECTION("a key of config.json that no model can have") {
    const auto refused = [&](const std::string& from, const std::string& to, const std::string& words) {
      const TinyCopy fresh;
      fresh.replace_in_config(from, to);
      REQUIRE_THROWS_WITH(Transformer::load(fresh.folder, {}), Catch::Contains(words));
    };
    refused("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 0", "'num_hidden_layers': out of range: 0");
    refused("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4294967296", "out of range: 4294967296");
    refused("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 18446744073709551615", "out of range");
    refused("\"num_hidden_layers\": 2", "\"num_hidden_layers\": \"2\"", "expected an integer");
    refused("\"rope_theta\": 10000.0", "\"rope_theta\": -1", "rope_theta': must be positive");
    refused("\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "gelu");
    refused("\"mlp_bias\": false", "\"mlp_bias\": true", "'mlp_bias': true is not supported");
    refused("\"mlp_bias\": false", "\"mlp_bias\": 0", "expected true or false");
    refused("\"head_dim\": 8", "\"head_dim\": 7", "must be even");
    refused("\"rms_norm_eps\":", "\"rms_norm_eps\": \"x\", \"other\":", "expected a number");
  }
  SECTION("config.json that is no JSON") {
    std::ofstream(copy.folder / "config.json") << "{";
    REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}), Catch::Contains("config.json"));
  }
}

TEST_CASE("transformer: weights that are NaN or Inf are refused, with the tensor's name", "[model]") {
  const auto fault_with = [](float value, const char* name) {
    return fault_of_changed("qwen3_moe_stacked", [&](NamedTensors& tensors) {
      torch::Tensor& values = tensors.at(name);
      values.view({-1})[values.numel() / 2] = value;
    });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const char* const norm = "model.layers.1.input_layernorm.weight";
  CHECK_THAT(fault_with(nan, norm), Catch::Contains(concat("tensor '", norm, "' holds NaN or Inf")));
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.mlp.experts.down_proj"})
    CHECK_THAT(fault_with(-infinity, name), Catch::Contains(concat("'", name, "' holds NaN or Inf")));
  CHECK(fault_with(1.0F, norm).empty());
}

TEST_CASE("transformer: weights of other formats alone are named, with what to do", "[model]") {
  const TinyCopy copy;
  std::filesystem::remove(copy.folder / "model.safetensors");
  REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}),
                      Catch::Contains("model.safetensors: not there; expected it, or its shards"));
  for (const char* name : {"pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"})
    std::ofstream(copy.folder / name) << "x";
  REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}),
                      Catch::Contains("only pytorch_model-00001-of-00002.bin and 1 more such files") &&
                          Catch::Contains("save_pretrained"));
  std::filesystem::create_symlink("../../blobs/weights",
                                  copy.folder / "model.safetensors");  // as in the hub's cache
  REQUIRE_THROWS_WITH(
      Transformer::load(copy.folder, {}),
      Catch::Contains("model.safetensors: a link to ../../blobs/weights, which is not there"));
}

TEST_CASE("transformer: a pointer of Git LFS in the place of the weights is told", "[model]") {
  const TinyCopy copy;
  std::ofstream(copy.folder / "model.safetensors")
      << "version https://git-lfs.github.com/spec/v1\noid "
         "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daa"
         "a5e2ca24d17e2393\nsize 12345\n";
  REQUIRE_THROWS_WITH(Transformer::load(copy.folder, {}),
                      Catch::Contains("model.safetensors: the pointer that Git LFS leaves"));
}

TEST_CASE("transformer: shards may lie in a folder below the index", "[model]") {
  const SafetensorsFile fixture(reference_folder() / "llama/tiny.safetensors");
  const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
  const TinyCopy copy;
  std::filesystem::create_directory(copy.folder / "shards");
  std::filesystem::rename(copy.folder / "model.safetensors", copy.folder / "shards/one.safetensors");
  std::ofstream(copy.folder / "model.safetensors.index.json")
      << R"({"weight_map": {"model.norm.weight": "shards/one.safetensors"}})";
  CHECK(largest_difference(all_logits(Transformer::load(copy.folder, {}), tokens, 40),
                           view_tensor(fixture.at("logits_tied"))) < 1e-4);
}

TEST_CASE("transformer: a stored head that embeddings are tied to must be equal to them", "[model]") {
  const SafetensorsFile fixture(reference_folder() / "llama/tiny.safetensors");
  const torch::Tensor tokens = view_tensor(fixture.at("tokens")).clone();
  const TinyCopy copy;
  const auto with_head = [&](const torch::Tensor& head) {
    {
      const SafetensorsFile stored(reference_folder() / "llama/tiny/model.safetensors");
      std::vector<TensorToWrite> list;
      for (const auto& [name, view] : stored.tensors())
        list.push_back({name, view.dtype, view.shape, view.bytes});
      list.push_back(tensor_to_write("lm_head.weight", head));
      write_safetensors(copy.folder / "model.safetensors", list, {});
    }
    return Transformer::load(copy.folder, {});
  };
  const SafetensorsFile tiny(reference_folder() / "llama/tiny/model.safetensors");
  const torch::Tensor embedding = view_tensor(tiny.at("model.embed_tokens.weight")).to(torch::kFloat32);
  CHECK(largest_difference(all_logits(with_head(embedding.clone()), tokens, 40),
                           view_tensor(fixture.at("logits_tied"))) < 1e-4);
  torch::Tensor other = embedding.clone();
  other[5][3] += 0.5;
  REQUIRE_THROWS_WITH(with_head(other),
                      Catch::Contains("'lm_head.weight' differs from model.embed_tokens.weight") &&
                          Catch::Contains("set that to false"));
  REQUIRE_THROWS_WITH(with_head(torch::zeros({3, 48})),
                      Catch::Contains("'lm_head.weight' has shape [3, 48]"));
  // As the message says: then the head counts.
  with_head(embedding.clone());
  copy.replace_in_config("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
  const torch::Tensor difference =
      (all_logits(with_head(other), tokens, 40) - view_tensor(fixture.at("logits_tied"))).abs();
  CHECK(difference.select(2, 5).max().item<double>() > 0.1);
  CHECK(difference.narrow(2, 0, 5).max().item<double>() < 1e-4);
  CHECK(difference.narrow(2, 6, 97 - 6).max().item<double>() < 1e-4);
}

TEST_CASE("model options: cuda without CUDA is an error that says what to do", "[model]") {
  if (torch::cuda::is_available()) return;
  REQUIRE_THROWS_WITH(resolve_model_options("cuda", "auto", "auto"), Catch::Contains("runtime.device"));
  CHECK(resolve_model_options("auto", "bfloat16", "auto").dtype == torch::kBFloat16);
  CHECK(resolve_model_options("cpu", "float32", "auto").dtype == torch::kFloat32);
  CHECK(resolve_model_options("cpu", "bfloat16", "auto").cache_dtype == torch::kBFloat16);
  CHECK(resolve_model_options("cpu", "bfloat16", "float32").cache_dtype == torch::kFloat32);
  const Transformer mixed = Transformer::load(reference_folder() / "llama/tiny",
                                              resolve_model_options("cpu", "bfloat16", "float32"));
  CHECK(mixed.dtype_name() == "bfloat16 (cache float32)");
}
