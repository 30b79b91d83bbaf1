#include "trainer/text/chat_template.h"

#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"
#include "trainer/text/jinja_render.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

// A message takes some hundred steps; a template comes from elsewhere and must end.
constexpr std::size_t kSteps = 1000000, kStepsPerMessage = 20000, kStepsPerByte = 64;

/// chat_template of tokenizer_config.json: a string, or a list of named ones of which "default" counts.
std::optional<std::string> template_in_config(const Json& config, const std::string& file) {
  const Json& value = field(config, "chat_template", file);
  if (value.is_null()) return std::nullopt;
  if (!value.is_array()) return string_field(config, "chat_template", file);
  std::vector<std::string> names;
  for (const Json& entry : value) {
    names.push_back(one_line(string_field(entry, "name", file)));
    if (names.back() == "default") return string_field(entry, "template", file);
  }
  if (names.empty()) return std::nullopt;
  throw Error(ErrorKind::kInput, concat(file, ": chat_template: none of its ", names.size(),
                                        " templates is named default (", one_line(join(names, ", ")),
                                        "); write the one to use to chat_template.jinja beside it"));
}

jinja::Value value_of(const Json& json, const jinja::Work& work) {
  if (json.is_string()) return jinja::Value::text(json.get_ref<const std::string&>());
  if (json.is_boolean()) return jinja::Value::boolean(json.get<bool>());
  if (json.is_number_integer()) return jinja::Value::integer(json.get<std::int64_t>());
  if (json.is_array()) {
    jinja::List items;
    for (const Json& item : json) items.push_back(value_of(item, work));
    return jinja::Value::list(std::move(items), work);
  }
  if (json.is_object()) {
    jinja::Dictionary entries;
    for (const auto& [key, item] : json.items()) entries.emplace_back(key, value_of(item, work));
    return jinja::Value::dictionary(std::move(entries), work);
  }
  if (!json.is_null()) work.refuse("a variable is a number with a decimal point, which is not supported");
  return {};
}

jinja::Value messages_value(const std::vector<ChatMessage>& messages, const jinja::Work& work) {
  jinja::List list;
  for (const ChatMessage& message : messages) {
    require_utf8(message.content, "chat message");
    list.push_back(jinja::Value::dictionary(
        {{"role", jinja::Value::text(message.role)}, {"content", jinja::Value::text(message.content)}},
        work));
  }
  return jinja::Value::list(std::move(list), work);
}

std::size_t budget_of(const std::vector<ChatMessage>& messages, std::size_t template_bytes) {
  std::size_t bytes = template_bytes;
  for (const ChatMessage& message : messages) bytes += message.content.size();
  return kSteps + kStepsPerMessage * messages.size() + kStepsPerByte * bytes;
}

}  // namespace

struct ChatTemplate::Program {
  jinja::Block statements;
};

ChatTemplate ChatTemplate::load(const std::filesystem::path& model_folder) {
  ChatTemplate result;
  const std::filesystem::path jinja_file = model_folder / "chat_template.jinja";
  const std::string config_file = (model_folder / "tokenizer_config.json").string();
  const std::optional<Json> config = read_model_json(config_file);
  std::optional<std::string> text;
  if (std::filesystem::exists(jinja_file)) {
    text = read_model_file(jinja_file);
    result.source_ = jinja_file.string();
  } else {
    if (config) text = template_in_config(*config, config_file);
    result.source_ = config_file;
  }
  if (!text) {
    result.refusal_ =
        concat(result.source_, ": the model has no chat template; give plain prompts instead of messages");
    return result;
  }
  for (const char* name :
       {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    const auto token = config ? special_token_text(*config, name, config_file) : std::nullopt;
    if (token) result.special_tokens_.emplace_back(name, *token);
  }
  result.template_bytes_ = text->size();
  try {
    jinja::Work work(result.source_, budget_of({}, text->size()));
    result.program_ = std::make_shared<const Program>(Program{jinja::parse_template(*text, work)});
  } catch (const Error& error) {
    result.refusal_ = concat(error.what(), "; give prompts as text, rendered beforehand");
    log_warning(concat(result.refusal_, ": plain prompts go to the model as they are"));
  }
  return result;
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages, const ChatOptions& options) const {
  if (!program_) throw Error(ErrorKind::kInput, refusal_);
  if (messages.empty()) throw Error(ErrorKind::kInput, "chat template: there are no messages to render");
  jinja::Work work(source_, budget_of(messages, template_bytes_));
  jinja::Dictionary variables = {
      {"messages", messages_value(messages, work)},
      {"tools", jinja::Value()},
      {"documents", jinja::Value()},
      {"add_generation_prompt", jinja::Value::boolean(options.add_generation_prompt)}};
  for (const auto& [name, token] : special_tokens_) variables.emplace_back(name, jinja::Value::text(token));
  for (const auto& [name, value] : options.variables.items()) {
    std::erase_if(variables, [&key = name](const auto& known) { return known.first == key; });
    variables.emplace_back(name, value_of(value, work));
  }
  return jinja::render(program_->statements, std::move(variables), options.now, work);
}

}  // namespace foresight
