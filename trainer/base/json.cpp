#include "trainer/base/json.h"

#include <set>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

constexpr std::size_t kMaxCauseBytes = 400;  // the parser quotes what it read last, however long

}  // namespace

nlohmann::json parse_json_strictly(std::string_view text, const std::string& where, int max_depth) {
  using Json = nlohmann::json;
  std::vector<std::set<std::string>> keys_of_open_objects;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        keys_of_open_objects.emplace_back();
        [[fallthrough]];
      case Json::parse_event_t::array_start:
        if (depth >= max_depth) {
          throw Error(ErrorKind::kInput, concat(where, ": nested deeper than ", max_depth,
                                                " levels; the file is damaged or not of this kind"));
        }
        break;
      case Json::parse_event_t::object_end:
        keys_of_open_objects.pop_back();
        break;
      case Json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!keys_of_open_objects.back().insert(key).second) {
          throw Error(ErrorKind::kInput,
                      concat(where, ": the key \"", one_line(key), "\" stands there twice"));
        }
        break;
      }
      default:
        break;
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception& fault) {
    throw Error(ErrorKind::kInput,
                concat(where, ": expected JSON: ", one_line(fault.what(), kMaxCauseBytes)));
  }
}

}  // namespace foresight
