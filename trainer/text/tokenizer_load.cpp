#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/model_files/end_tokens.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"
#include "trainer/text/tokenizer_state.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

/// Collects ids that end a generation, each once.
class EndOfSequence {
 public:
  explicit EndOfSequence(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void add_id(std::int32_t id, const std::string& where) {
    if (vocabulary_.token_of(id) == nullptr) {
      throw Error(ErrorKind::kInput, concat(where, ": eos_token_id ", id, " is not in tokenizer.json"));
    }
    if (std::find(ids_.begin(), ids_.end(), id) == ids_.end()) ids_.push_back(id);
  }

  void add_token(const std::string& token, const std::string& where) {
    const auto id = vocabulary_.id_of(token);
    if (!id)
      throw Error(ErrorKind::kInput,
                  concat(where, ": eos_token \"", one_line(token), "\" is not in tokenizer.json"));
    add_id(*id, where);
  }

  const std::vector<std::int32_t>& ids() const { return ids_; }

 private:
  const Vocabulary& vocabulary_;
  std::vector<std::int32_t> ids_;
};

std::vector<std::int32_t> read_end_of_sequence(const std::filesystem::path& folder,
                                               const Vocabulary& vocabulary) {
  EndOfSequence end(vocabulary);
  const std::string config_file = (folder / "tokenizer_config.json").string();
  if (const auto config = read_model_json(config_file)) {
    if (const auto token = special_token_text(*config, "eos_token", config_file))
      end.add_token(*token, config_file);
  }
  const EndTokens stated = read_end_tokens(folder);
  for (const std::int32_t id : stated.ids) end.add_id(id, stated.file);
  for (const char* token : {"<|im_end|>", "<|endoftext|>"}) {
    if (vocabulary.id_of(token)) end.add_token(token, "");
  }
  return end.ids();
}

}  // namespace

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  const std::string file = path.string();
  if (!std::filesystem::is_regular_file(path)) {
    throw Error(ErrorKind::kInput,
                concat(file, ": not there; a Hugging Face model folder with tokenizer.json is needed"));
  }
  const std::string content = read_model_file(path);
  const Json json = parse_model_json(content, file);
  const Json& model_json = object_field(json, "model", file);
  if (!field(json, "truncation", file).is_null() || !field(json, "padding", file).is_null()) {
    log_warning(concat(file, ": truncation and padding are ignored"));
  }
  Vocabulary vocabulary;
  PreTokenizer pre_tokenizer =
      PreTokenizer::from_json(field(json, "pre_tokenizer", file), concat(file, ": pre_tokenizer"));
  const bool byte_level = pre_tokenizer.byte_level();
  BytePairModel model = BytePairModel::from_json(model_json, byte_level, vocabulary, concat(file, ": model"));
  Normalizer normalizer =
      Normalizer::from_json(field(json, "normalizer", file), concat(file, ": normalizer"));
  AddedTokens added = AddedTokens::from_json(field(json, "added_tokens", file), normalizer, vocabulary,
                                             concat(file, ": added_tokens"));
  PostProcessor post_processor = PostProcessor::from_json(field(json, "post_processor", file), vocabulary,
                                                          concat(file, ": post_processor"));
  Decoder decoder = Decoder::from_json(field(json, "decoder", file), byte_level, concat(file, ": decoder"));
  std::vector<std::int32_t> end_of_sequence = read_end_of_sequence(folder, vocabulary);
  return Tokenizer(
      std::make_unique<State>(State{file, std::move(vocabulary), std::move(normalizer), std::move(added),
                                    std::move(pre_tokenizer), std::move(model), std::move(post_processor),
                                    std::move(decoder), std::move(end_of_sequence), sha256_hex(content)}));
}

}  // namespace foresight
