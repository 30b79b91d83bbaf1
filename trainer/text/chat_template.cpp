#include "trainer/text/chat_template.h"

#include <cstdint>

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
using OrderedJson = nlohmann::ordered_json;

// A message takes some hundred steps; the limit stops templates that would never end.
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

jinja::Value value_of(const OrderedJson& json, const jinja::Work& work) {
  if (json.is_string()) {
    require_utf8(json.get_ref<const std::string&>(), "chat message");
    return jinja::Value::text(json.get_ref<const std::string&>());
  }
  if (json.is_boolean()) return jinja::Value::boolean(json.get<bool>());
  if (json.is_number_integer()) {
    const bool fits = !json.is_number_unsigned() || json.get<std::uint64_t>() <= INT64_MAX;
    if (!fits) work.refuse(concat("a variable is ", json.dump(), ", which is too large a number"));
    return jinja::Value::integer(json.get<std::int64_t>());
  }
  if (json.is_array()) {
    jinja::List items;
    for (const OrderedJson& item : json) items.push_back(value_of(item, work));
    return jinja::Value::list(std::move(items), work);
  }
  if (json.is_object()) {
    jinja::Dictionary entries;
    for (const auto& [key, item] : json.items()) entries.emplace_back(key, value_of(item, work));
    return jinja::Value::dictionary(std::move(entries), work);
  }
  if (!json.is_null()) {
    work.refuse(
        concat("a variable is ", json.dump(), ", a number with a decimal point, which is not supported"));
  }
  return {};
}

OrderedJson fields_of(const ChatMessage& message) {
  if (message.fields.is_object()) return message.fields;
  return {{"role", message.role}, {"content", message.content}};
}

jinja::Value messages_value(const std::vector<ChatMessage>& messages, const jinja::Work& work) {
  jinja::List list;
  for (const ChatMessage& message : messages) list.push_back(value_of(fields_of(message), work));
  return jinja::Value::list(std::move(list), work);
}

/// The approximate size of a value: bytes of texts and names, one for every other value.
std::size_t bytes_of(const OrderedJson& json) {
  if (json.is_string()) return json.get_ref<const std::string&>().size();
  std::size_t bytes = 1;
  if (json.is_structured()) {
    for (const auto& [key, item] : json.items()) bytes += key.size() + bytes_of(item);
  }
  return bytes;
}

std::size_t budget_of(const std::vector<ChatMessage>& messages, const OrderedJson& variables,
                      std::size_t template_bytes) {
  std::size_t bytes = template_bytes + bytes_of(variables);
  for (const ChatMessage& message : messages)
    bytes += message.fields.is_object() ? bytes_of(message.fields) : message.content.size();
  return kSteps + kStepsPerMessage * messages.size() + kStepsPerByte * bytes;
}

/// "2026-11-28" as a time of that day.
std::tm day_of(const std::string& date) {
  std::tm day{};
  const char* end = strptime(date.c_str(), "%Y-%m-%d", &day);
  std::tm same = day;
  const bool there = end != nullptr && *end == '\0' && timegm(&same) != -1 && same.tm_mday == day.tm_mday;
  if (there) return same;  // it has the days of week and year too
  throw Error(ErrorKind::kConfig,
              concat("model.template_date: expected a date like 2026-11-28, got \"", one_line(date), "\""));
}

}  // namespace

struct ChatTemplate::Program {
  jinja::Block statements;
};

ChatTemplate ChatTemplate::load(const std::filesystem::path& model_folder, const std::string& date) {
  ChatTemplate result;
  if (!date.empty()) result.now_ = day_of(date);
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
    jinja::Work work(result.source_, budget_of({}, OrderedJson(), text->size()));
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
  jinja::Work work(source_, budget_of(messages, options.variables, template_bytes_));
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
  return jinja::render(program_->statements, std::move(variables), options.now ? options.now : now_, work);
}

}  // namespace foresight
