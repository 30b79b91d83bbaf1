#include "trainer/text/decoder.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/text/byte_level.h"
#include "trainer/text/metaspace.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

// Several steps in a row that double a text would make gigabytes of a few tokens.
constexpr std::size_t kMaxGrowth = 64;

/// The byte of "<0x41>", nothing for any other token.
std::optional<char> fallback_byte(const std::string& token) {
  if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>') return std::nullopt;
  if (!std::isxdigit(static_cast<unsigned char>(token[3])) ||
      !std::isxdigit(static_cast<unsigned char>(token[4]))) {
    return std::nullopt;
  }
  return static_cast<char>(std::stoi(token.substr(3, 2), nullptr, 16));
}

/// Runs of "<0x..>" tokens become their text, or one U+FFFD for each byte if that is not valid UTF-8.
std::vector<std::string> join_fallback_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> joined;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (first_invalid_utf8(bytes) == std::string_view::npos) {
      joined.push_back(bytes);
    } else {
      joined.insert(joined.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const auto byte = fallback_byte(token)) {
      bytes += *byte;
    } else {
      flush();
      joined.push_back(token);
    }
  }
  flush();
  return joined;
}

std::string replace_all(std::string_view text, const std::string& pattern, const std::string& content) {
  std::string result;
  for (std::size_t found = text.find(pattern); found != std::string_view::npos; found = text.find(pattern)) {
    result.append(text.substr(0, found)).append(content);
    text.remove_prefix(found + pattern.size());
  }
  return result.append(text);
}

/// `token` without up to `start` blanks at its start and up to `stop` at its end.
std::string stripped(std::string_view token, std::string_view blank, std::size_t start, std::size_t stop) {
  for (; start > 0 && token.starts_with(blank); --start) token.remove_prefix(blank.size());
  for (; stop > 0 && token.ends_with(blank); --stop) token.remove_suffix(blank.size());
  return std::string(token);
}

/// The one character under `key`.
std::string character_field(const Json& description, const char* key, const std::string& where) {
  std::string text = string_field(description, key, where);
  if (text.empty() || utf8_step(text, 0).bytes != text.size()) {
    throw Error(ErrorKind::kInput,
                concat(where, ": \"", key, "\": expected one character, got \"", one_line(text), "\""));
  }
  return text;
}

std::size_t count_field(const Json& description, const char* key, const std::string& where) {
  const Json& value = field(description, key, where);
  if (value.is_number_unsigned()) return value.get<std::size_t>();
  throw Error(ErrorKind::kInput, concat(where, ": \"", key, "\": expected a count, got ", shown_json(value)));
}

std::string byte_level_bytes(const std::string& token) {
  return from_byte_characters(token).value_or(token);
}

}  // namespace

Decoder Decoder::from_json(const Json& description, bool byte_level, const std::string& where) {
  Decoder decoder;
  if (!description.is_null()) decoder.add_step(description, where);
  if (byte_level && !decoder.has_byte_level_) {
    throw Error(ErrorKind::kInput,
                concat(where, ": no ByteLevel decoder, which the ByteLevel pre-tokenizer needs"));
  }
  if (!byte_level && (decoder.has_byte_level_ || decoder.steps_.empty())) {
    throw Error(ErrorKind::kInput,
                concat(where, ": ", decoder.has_byte_level_ ? "a ByteLevel decoder" : "no decoder",
                       ", but no ByteLevel pre-tokenizer; expected both, or a decoder of ",
                       "ByteFallback, Fuse, Replace, Strip and Metaspace"));
  }
  return decoder;
}

void Decoder::add_step(const Json& description, const std::string& where) {
  const std::string type = string_field(description, "type", where);
  if (type == "Sequence") {
    for (const Json& step : list_field(description, "decoders", where)) add_step(step, where);
    return;
  }
  if (has_byte_level_)
    throw Error(ErrorKind::kInput, concat(where, ": ", one_line(type), " behind ByteLevel is not supported"));
  if (type == "ByteLevel") {
    has_byte_level_ = true;
  } else if (type == "ByteFallback") {
    steps_.push_back({StepKind::kByteFallback, ""});
  } else if (type == "Fuse") {
    steps_.push_back({StepKind::kFuse, ""});
  } else if (type == "Replace") {
    add_replace(description, where);
  } else if (type == "Strip") {
    steps_.push_back({StepKind::kStrip, character_field(description, "content", where), "",
                      count_field(description, "start", where), count_field(description, "stop", where)});
  } else if (type == "Metaspace") {
    Step step{StepKind::kMetaspace, character_field(description, "replacement", where)};
    step.drop_at_start = read_prepend_scheme(description, where) != PrependScheme::kNever;
    steps_.push_back(step);
  } else {
    throw Error(
        ErrorKind::kInput,
        concat(
            where, ": decoder ", one_line(type),
            " is not supported (known: ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, Sequence)"));
  }
}

void Decoder::add_replace(const Json& description, const std::string& where) {
  const std::string pattern = string_field(object_field(description, "pattern", where), "String", where);
  if (pattern.empty()) throw Error(ErrorKind::kInput, concat(where, ": Replace has an empty pattern"));
  const std::string content = string_field(description, "content", where);
  const std::size_t growth = (content.size() + pattern.size() - 1) / pattern.size();
  growth_ *= std::max<std::size_t>(1, std::min(growth, kMaxGrowth + 1));
  if (growth_ > kMaxGrowth) {
    throw Error(ErrorKind::kInput,
                concat(where, ": Replace makes a text more than ", kMaxGrowth, " times as long"));
  }
  steps_.push_back({StepKind::kReplace, pattern, content});
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const Step& step : steps_) {
    if (step.kind == StepKind::kByteFallback) {
      tokens = join_fallback_bytes(tokens);
    } else if (step.kind == StepKind::kFuse) {
      tokens = {join(tokens, "")};
    } else if (step.kind == StepKind::kReplace) {
      for (std::string& token : tokens) token = replace_all(token, step.pattern, step.content);
    } else if (step.kind == StepKind::kStrip) {
      for (std::string& token : tokens) token = stripped(token, step.pattern, step.start, step.stop);
    } else {
      for (std::size_t index = 0; index < tokens.size(); ++index) {
        const bool dropped = step.drop_at_start && index == 0;
        tokens[index] = replace_all(tokens[index], step.pattern, dropped ? "" : " ");
      }
    }
  }
  std::string bytes;
  for (const std::string& token : tokens) bytes += has_byte_level_ ? byte_level_bytes(token) : token;
  return repair_utf8(bytes);
}

std::string Decoder::token_bytes(const std::string& token) const {
  std::string text = token;
  for (const Step& step : steps_) {
    if (step.kind == StepKind::kByteFallback) {
      if (const auto byte = fallback_byte(text)) return std::string(1, *byte);
    } else if (step.kind == StepKind::kReplace) {
      text = replace_all(text, step.pattern, step.content);
    } else if (step.kind == StepKind::kMetaspace) {
      text = replace_all(text, step.pattern, " ");
    }
  }
  return has_byte_level_ ? byte_level_bytes(text) : text;
}

}  // namespace foresight
