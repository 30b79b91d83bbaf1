#include "trainer/model_files/shard_index.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"

namespace foresight {
namespace {

/// A path that leads to a file in the folder or below it, step by step, and can be shown.
bool stays_below(const std::string& path) {
  if (one_line(path, path.size()) != path) return false;
  std::size_t start = 0;
  while (true) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string name = path.substr(start, end - start);
    if (name.empty() || name == "." || name == "..") return false;
    if (end == path.size()) return true;
    start = end + 1;
  }
}

}  // namespace

std::set<std::string> read_shard_names(const std::filesystem::path& index_file) {
  const std::string where = index_file.string();
  const nlohmann::json index = parse_model_json(read_model_file(index_file), where);
  std::set<std::string> names;
  for (const auto& [tensor, file] : object_field(index, "weight_map", where).items()) {
    if (!file.is_string() || !stays_below(file.get_ref<const std::string&>())) {
      throw Error(ErrorKind::kInput, concat(where, ": weight_map of '", one_line(tensor),
                                            "': expected the path of a file beside it or below its folder"));
    }
    names.insert(file.get<std::string>());
  }
  return names;
}

}  // namespace foresight
