#include "trainer/model_files/end_tokens.h"

#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"

namespace foresight {
namespace {

using Json = nlohmann::json;
constexpr const char* kEndTokenKey = "eos_token_id";

/// Of one value; -1, which some models state, is no token.
void add_id(const Json& value, const std::string& file, std::vector<std::int32_t>& ids) {
  if (value.is_number_integer() && value == -1) return;
  ids.push_back(token_id_of(value, kEndTokenKey, file));
}

}  // namespace

EndTokens read_end_tokens(const std::filesystem::path& folder) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    const std::string file = (folder / name).string();
    const auto config = read_model_json(file);
    const Json value = config ? field(*config, kEndTokenKey, file) : Json();
    if (value.is_null()) continue;
    EndTokens found{.ids = {}, .file = file};
    if (value.is_array()) {
      for (const Json& id : value) add_id(id, file, found.ids);
    } else {
      add_id(value, file, found.ids);
    }
    return found;
  }
  return {};
}

}  // namespace foresight
