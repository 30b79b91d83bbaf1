#include "trainer/text/post_processor.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

// Models put one or two tokens around a text. Without a limit, a small file that repeats a long list would
// fill memory.
constexpr std::size_t kMaxTokens = 256;

void require_few(const PostProcessor& processor, const std::string& where) {
  if (processor.before.size() + processor.behind.size() <= kMaxTokens) return;
  throw Error(ErrorKind::kInput, concat(where, ": puts more than ", kMaxTokens, " tokens around a text"));
}

/// The ids of a template's special token.
std::vector<std::int32_t> special_token_ids(const Json& description, const std::string& name,
                                            const Vocabulary& vocabulary, const std::string& where) {
  const Json& token = object_field(object_field(description, "special_tokens", where), name, where);
  std::vector<std::int32_t> ids;
  for (const Json& value : list_field(token, "ids", where)) {
    ids.push_back(token_id_of(value, concat("special_tokens \"", one_line(name), "\""), where));
    if (vocabulary.token_of(ids.back()) == nullptr) {
      throw Error(ErrorKind::kInput, concat(where, ": special_tokens \"", one_line(name), "\": id ",
                                            ids.back(), " is not in the vocabulary"));
    }
  }
  return ids;
}

PostProcessor from_template(const Json& description, const Vocabulary& vocabulary, const std::string& where) {
  PostProcessor result;
  bool behind = false;
  for (const Json& part : list_field(description, "single", where)) {
    if (part.is_object() && part.contains("SpecialToken")) {
      const std::string name = string_field(object_field(part, "SpecialToken", where), "id", where);
      const auto ids = special_token_ids(description, name, vocabulary, where);
      auto& target = behind ? result.behind : result.before;
      target.insert(target.end(), ids.begin(), ids.end());
      require_few(result, where);
    } else if (part.is_object() && part.contains("Sequence") && !behind) {
      behind = true;
    } else {
      throw Error(ErrorKind::kInput,
                  concat(where, ": \"single\": expected SpecialToken entries and one Sequence"));
    }
  }
  if (!behind) throw Error(ErrorKind::kInput, concat(where, ": \"single\" has no Sequence"));
  return result;
}

}  // namespace

PostProcessor PostProcessor::from_json(const Json& description, const Vocabulary& vocabulary,
                                       const std::string& where) {
  if (description.is_null()) return {};
  const std::string type = string_field(description, "type", where);
  if (type == "ByteLevel") return {};
  if (type == "TemplateProcessing") return from_template(description, vocabulary, where);
  if (type != "Sequence") {
    throw Error(ErrorKind::kInput,
                concat(where, ": post-processor ", one_line(type),
                       " is not supported (known: ByteLevel, TemplateProcessing, Sequence, null)"));
  }
  PostProcessor all;
  for (const Json& step : list_field(description, "processors", where)) {
    const PostProcessor one = from_json(step, vocabulary, where);
    all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
    all.behind.insert(all.behind.end(), one.behind.begin(), one.behind.end());
    require_few(all, where);
  }
  return all;
}

}  // namespace foresight
