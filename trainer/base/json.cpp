#include "trainer/base/json.h"

#include <set>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::size_t kMaxCauseBytes = 400;  // the parser quotes what it read last, however long

constexpr std::size_t kMaxOrderedKeys = 1024;

template <class Json>
Json parse_strictly(std::string_view text, const std::string& where, int max_depth, std::size_t max_keys) {
  std::vector<std::set<std::string>> keys_of_open_objects;
  const auto refuse = [&](const std::string& message) {
    throw Error(ErrorKind::kInput, concat(where, ": ", message));
  };
  const auto watch = [&](int depth, typename Json::parse_event_t event, Json& parsed) {
    using Event = typename Json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (event == Event::object_start) keys_of_open_objects.emplace_back();
      if (depth >= max_depth) {
        refuse(concat("nested deeper than ", max_depth, " levels; the file is damaged or not of this kind"));
      }
    } else if (event == Event::object_end) {
      keys_of_open_objects.pop_back();
    } else if (event == Event::key) {
      const auto& key = parsed.template get_ref<const std::string&>();
      std::set<std::string>& known = keys_of_open_objects.back();
      if (!known.insert(key).second) refuse(concat("the key \"", one_line(key), "\" occurs twice"));
      if (known.size() > max_keys) refuse(concat("an object has more than ", max_keys, " keys"));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const typename Json::exception& fault) {
    throw Error(ErrorKind::kInput,
                concat(where, ": expected JSON: ", one_line(fault.what(), kMaxCauseBytes)));
  }
}

}  // namespace

nlohmann::json parse_json_strictly(std::string_view text, const std::string& where, int max_depth) {
  return parse_strictly<nlohmann::json>(text, where, max_depth, std::string::npos);
}

nlohmann::ordered_json parse_ordered_json_strictly(std::string_view text, const std::string& where,
                                                   int max_depth) {
  return parse_strictly<nlohmann::ordered_json>(text, where, max_depth, kMaxOrderedKeys);
}

}  // namespace foresight
