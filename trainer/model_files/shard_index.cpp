#include "trainer/model_files/shard_index.h"

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"

namespace foresight {
namespace {

/// A name that stays in its folder and can be shown.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         one_line(name, name.size()) == name;
}

}  // namespace

std::set<std::string> read_shard_names(const std::filesystem::path& index_file) {
  const std::string where = index_file.string();
  const nlohmann::json index = parse_model_json(read_model_file(index_file), where);
  std::set<std::string> names;
  for (const auto& [tensor, file] : object_field(index, "weight_map", where).items()) {
    if (!file.is_string() || !is_plain_name(file.get_ref<const std::string&>())) {
      throw Error(ErrorKind::kInput, concat(where, ": weight_map of '", one_line(tensor),
                                            "': expected the name of a file beside it"));
    }
    names.insert(file.get<std::string>());
  }
  return names;
}

}  // namespace foresight
