#include "trainer/text/chat_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"
#include "trainer/text/jinja_text.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

// The families in canonical form; "\a" stands where the default system message does.
constexpr const char* kMessage = "{{'<|im_start|>'+message['role']+'\n'+message['content']+'<|im_end|>\n'}}";
constexpr const char* kGeneration = "{%ifadd_generation_prompt%}{{'<|im_start|>assistant\n'}}{%endif%}";
constexpr const char* kDefaultSystem =
    "{%ifloop.firstandmessages[0]['role']!='system'%}{{'<|im_start|>system\n\a<|im_end|>\n'}}{%endif%}";
constexpr const char* kQwenSystem =
    "{%else%}{%ifmessages[0]['role']=='system'%}{{'<|im_start|>system\n'+messages[0]['content']+'<|im_end|>"
    "\n'}}"
    "{%else%}{{'<|im_start|>system\n\a<|im_end|>\n'}}{%endif%}{%endif%}{%formessageinmessages%}"
    "{%if(message['role']=='user')or(message['role']=='system'andnotloop.first)"
    "or(message['role']=='assistant'andnotmessage.tool_calls)%}";
constexpr const char* kLlamaMessages =
    "{%setloop_messages=messages%}{%formessageinloop_messages%}"
    "{%setcontent='<|start_header_id|>'+message['role']+'<|end_header_id|>\n\n'+message['content']|trim+'<|"
    "eot_id|>'%}"
    "{%ifloop.index0==0%}{%setcontent=bos_token+content%}{%endif%}{{content}}{%endfor%}";
constexpr const char* kLlamaGeneration = "{{'<|start_header_id|>assistant<|end_header_id|>\n\n'}}";

/// The text at "\a" where `text` begins with `form`, and what follows it.
struct HoleMatch {
  std::string hole, rest;
};

/// Matches the start of `text` with `form`; the hole holds no quote, so it ends inside its string.
std::optional<HoleMatch> match_start(const std::string& text, const std::string& form) {
  const std::size_t hole = form.find('\a');
  const std::string before = form.substr(0, hole);
  const std::string behind = hole == std::string::npos ? "" : form.substr(hole + 1);
  if (!text.starts_with(before)) return std::nullopt;
  const std::size_t end = hole == std::string::npos ? before.size() : text.find(behind, before.size());
  if (end == std::string::npos) return std::nullopt;
  const std::string content = text.substr(before.size(), end - before.size());
  for (std::size_t index = 0; index < content.size(); ++index) {
    if (content[index] == '\\') {
      ++index;
    } else if (content[index] == '\'') {
      return std::nullopt;
    }
  }
  return HoleMatch{unescape_canonical(content), text.substr(end + behind.size())};
}

/// Python's str.strip(), which Jinja's trim is.
std::string strip(std::string_view text) {
  const auto is_space = [](char32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
  };
  std::size_t begin = text.size(), end = text.size();
  bool started = false;
  for (std::size_t offset = 0; offset < text.size();) {
    const Utf8Step step = utf8_step(text, offset);
    if (!step.valid || !is_space(step.code_point)) {
      if (!started) begin = offset;
      started = true;
      end = offset + step.bytes;
    }
    offset += step.bytes;
  }
  return std::string(text.substr(begin, end - begin));
}

/// chat_template of tokenizer_config.json: a string, or a list of named ones of which "default" counts.
std::optional<std::string> template_in_config(const Json& config, const std::string& file) {
  const Json& value = field(config, "chat_template", file);
  if (value.is_null()) return std::nullopt;
  if (!value.is_array()) return string_field(config, "chat_template", file);
  for (const Json& entry : value) {
    if (string_field(entry, "name", file) == "default") return string_field(entry, "template", file);
  }
  return std::nullopt;
}

}  // namespace

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
  if (config) result.beginning_ = special_token_text(*config, "bos_token", config_file).value_or("");
  result.found_ = text.has_value();
  if (text) result.recognise(*text);
  return result;
}

void ChatTemplate::recognise(const std::string& text) {
  const std::string form = canonical_template(text).value_or("");
  const std::string loop = "{%formessageinmessages%}", loop_end = "{%endfor%}";
  const std::string chatml_end = concat(kMessage, loop_end, kGeneration);
  if (form == loop + chatml_end) {
    family_ = "ChatML";
  } else if (const auto chatml = match_start(form, loop + kDefaultSystem);
             chatml && chatml->rest == chatml_end) {
    family_ = "ChatML";
    default_system_ = chatml->hole;
    has_default_system_ = true;
  } else if (form == concat(kLlamaMessages, kLlamaGeneration) ||
             form == concat(kLlamaMessages, "{%ifadd_generation_prompt%}", kLlamaGeneration, "{%endif%}")) {
    family_ = "Llama-3";
  } else if (form.starts_with("{%iftools%}")) {
    const std::string qwen(kQwenSystem);
    const std::size_t system = form.find(qwen.substr(0, qwen.find('\a')));
    if (system == std::string::npos) return;
    const auto found = match_start(form.substr(system), qwen + kMessage + "{%elif");
    if (!found || !found->rest.ends_with(concat("{%endif%}", loop_end, kGeneration))) return;
    family_ = "Qwen2.5";
    default_system_ = found->hole;
    has_default_system_ = true;
  }
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages) const {
  if (!found_) {
    throw Error(ErrorKind::kInput,
                concat(source_, ": the model has no chat template; give plain prompts instead of messages"));
  }
  if (family_.empty()) {
    throw Error(ErrorKind::kInput,
                concat(source_, ": the chat template is none of the families known (ChatML as in SmolLM2 ",
                       "and Qwen2, Qwen2.5, Llama-3); give prompts as text, rendered beforehand"));
  }
  if (messages.empty()) throw Error(ErrorKind::kInput, "chat template: there are no messages to render");
  if (family_ == "Llama-3") {
    if (beginning_.empty()) {
      throw Error(ErrorKind::kInput,
                  concat(source_, ": the chat template writes bos_token, which tokenizer_config.json lacks"));
    }
    std::string text = beginning_;
    for (const ChatMessage& message : messages) {
      text += concat("<|start_header_id|>", message.role, "<|end_header_id|>\n\n", strip(message.content),
                     "<|eot_id|>");
    }
    return text + "<|start_header_id|>assistant<|end_header_id|>\n\n";
  }
  std::string text;
  if (has_default_system_ && messages.front().role != "system") {
    text += concat("<|im_start|>system\n", default_system_, "<|im_end|>\n");
  }
  for (const ChatMessage& message : messages) {
    const bool plain_role = message.role == "system" || message.role == "user" || message.role == "assistant";
    if (family_ == "Qwen2.5" && !plain_role) {
      throw Error(ErrorKind::kInput,
                  concat("chat template: role \"", one_line(message.role),
                         "\" is not supported for Qwen2.5 (known: system, user, assistant)"));
    }
    text += concat("<|im_start|>", message.role, "\n", message.content, "<|im_end|>\n");
  }
  return text + "<|im_start|>assistant\n";
}

}  // namespace foresight
