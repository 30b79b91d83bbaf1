#include "trainer/app/tiny_model.h"

#include <torch/types.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/random.h"
#include "trainer/base/text.h"
#include "trainer/model/tensor_io.h"
#include "trainer/text/byte_level.h"

namespace foresight {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kLayers = 2, kQueryHeads = 4, kKvHeads = 2, kHeadDimension = 16;
constexpr std::int64_t kHidden = 64, kIntermediate = 128, kVocabulary = 257;

torch::Tensor normal(torch::IntArrayRef size, double deviation, RandomStream& random) {
  torch::Tensor tensor = torch::empty(size);
  float* data = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) data[i] = static_cast<float>(deviation * random.normal());
  return tensor;
}

constexpr std::array<const char*, 7> kFiles = {
    "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    "train.jsonl", "evaluation.jsonl",  "prompts.jsonl"};

std::string config_text() {
  const Json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"model_type", "llama"},
                       {"hidden_act", "silu"},
                       {"hidden_size", kHidden},
                       {"intermediate_size", kIntermediate},
                       {"num_hidden_layers", kLayers},
                       {"num_attention_heads", kQueryHeads},
                       {"num_key_value_heads", kKvHeads},
                       {"head_dim", kHeadDimension},
                       {"vocab_size", kVocabulary},
                       {"max_position_embeddings", 4096},
                       {"rms_norm_eps", 1e-5},
                       {"rope_theta", 10000.0},
                       {"tie_word_embeddings", true},
                       {"eos_token_id", kVocabulary - 1}};
  return config.dump(2) + "\n";
}

/// A folder with this very config.json holds a tiny model, complete or begun. Files in any other folder are
/// not overwritten.
void require_own(const std::filesystem::path& folder) {
  std::error_code error;
  const std::filesystem::path config = folder / "config.json";
  if (std::filesystem::is_regular_file(config, error) && read_file(config) == config_text()) return;
  for (const char* name : kFiles) {
    const std::filesystem::path file = folder / name;
    if (!std::filesystem::exists(std::filesystem::symlink_status(file, error))) continue;
    throw Error(ErrorKind::kConfig,
                concat("make-tiny-model: ", file.string(),
                       " already exists and does not belong to a tiny model; name another folder"));
  }
}

void write_weights(const std::filesystem::path& folder, std::uint64_t seed) {
  RandomStream random(seed, "tiny model");
  std::vector<std::pair<std::string, torch::Tensor>> tensors;
  const double scale = 1.0 / std::sqrt(static_cast<double>(kHidden));
  tensors.emplace_back("model.embed_tokens.weight", normal({kVocabulary, kHidden}, 0.5, random));
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    const auto add = [&](const std::string& name, torch::IntArrayRef size, double deviation) {
      tensors.emplace_back(concat("model.layers.", layer, ".", name), normal(size, deviation, random));
    };
    // Large query and key weights: attention that picks out entries, so that evicting the wrong one costs
    // loss.
    add("self_attn.q_proj.weight", {kQueryHeads * kHeadDimension, kHidden}, 3.0 * scale);
    add("self_attn.k_proj.weight", {kKvHeads * kHeadDimension, kHidden}, 3.0 * scale);
    add("self_attn.v_proj.weight", {kKvHeads * kHeadDimension, kHidden}, scale);
    add("self_attn.o_proj.weight", {kHidden, kQueryHeads * kHeadDimension}, 2.0 * scale);
    add("mlp.gate_proj.weight", {kIntermediate, kHidden}, scale);
    add("mlp.up_proj.weight", {kIntermediate, kHidden}, scale);
    add("mlp.down_proj.weight", {kHidden, kIntermediate}, scale);
    tensors.emplace_back(concat("model.layers.", layer, ".input_layernorm.weight"), torch::ones({kHidden}));
    tensors.emplace_back(concat("model.layers.", layer, ".post_attention_layernorm.weight"),
                         torch::ones({kHidden}));
  }
  tensors.emplace_back("model.norm.weight", torch::ones({kHidden}));
  std::vector<TensorToWrite> list;
  for (const auto& [name, tensor] : tensors) list.push_back(tensor_to_write(name, tensor));
  write_safetensors(folder / "model.safetensors", list, {{"format", "pt"}});
}

void write_tokenizer(const std::filesystem::path& folder) {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocabulary[byte_character(static_cast<std::uint8_t>(byte))] = byte;
  const Json end = {{"id", 256},       {"content", "<|end|>"}, {"single_word", false}, {"lstrip", false},
                    {"rstrip", false}, {"normalized", false},  {"special", true}};
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const Json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", Json::array({end})},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", byte_level},
                          {"post_processor", nullptr},
                          {"decoder", byte_level},
                          {"model",
                           {{"type", "BPE"},
                            {"dropout", nullptr},
                            {"unk_token", nullptr},
                            {"continuing_subword_prefix", nullptr},
                            {"end_of_word_suffix", nullptr},
                            {"fuse_unk", false},
                            {"byte_fallback", false},
                            {"vocab", vocabulary},
                            {"merges", Json::array()}}}};
  write_file_atomically(folder / "tokenizer.json", tokenizer.dump() + "\n");
  // Without the class, transformers' AutoTokenizer looks for one that goes with "llama" and finds other
  // files.
  const Json settings = {{"eos_token", "<|end|>"}, {"tokenizer_class", "PreTrainedTokenizerFast"}};
  write_file_atomically(folder / "tokenizer_config.json", settings.dump() + "\n");
}

/// Short sums in words of a few letters: text with things to remember.
std::string tiny_text(RandomStream& random) {
  static const char* const kNames[] = {"ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal"};
  std::string text;
  for (int sentence = 0; sentence < 6; ++sentence) {
    const auto a = random.below(50), b = random.below(50);
    const char* name = kNames[random.below(8)];
    text += concat(name, " has ", a, " and gets ", b, ", so ", name, " has ", a + b, ". ");
  }
  return text;
}

void write_rows(const std::filesystem::path& file, std::uint64_t seed, const std::string& stream, int rows) {
  RandomStream random(seed, stream);
  std::string lines;
  for (int row = 0; row < rows; ++row) lines += Json({{"text", tiny_text(random)}}).dump() + "\n";
  write_file_atomically(file, lines);
}

}  // namespace

void make_tiny_model(const std::filesystem::path& folder, std::uint64_t seed) {
  require_own(folder);
  create_folders(folder);
  write_file_atomically(folder / "config.json", config_text());  // first: it tells whose folder this is
  write_weights(folder, seed);
  write_tokenizer(folder);
  write_rows(folder / "train.jsonl", seed, "tiny training rows", 24);
  write_rows(folder / "evaluation.jsonl", seed, "tiny evaluation rows", 8);
  std::string prompts;
  for (const char* prompt : {"ann has 3 and gets 4, so", "bob has 10 and gets 20, so", "eve has"}) {
    prompts += Json({{"prompt", prompt}}).dump() + "\n";
  }
  write_file_atomically(folder / "prompts.jsonl", prompts);
}

}  // namespace foresight
