#include "trainer/model_files/model_folder_json.h"

#include <cstdint>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/base/text.h"
#include "trainer/base/utf8.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

namespace {

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{256} << 20;
constexpr int kMaxJsonDepth = 32;

}  // namespace

std::string read_model_file(const std::filesystem::path& file) {
  std::error_code unknown;
  const std::uintmax_t bytes = std::filesystem::file_size(file, unknown);
  if (!unknown && bytes > kMaxFileBytes) {
    throw Error(ErrorKind::kInput,
                concat(file.string(), ": ", bytes, " bytes, at most ", kMaxFileBytes, " are read"));
  }
  std::string content = read_file(file);
  refuse_lfs_pointer(content, file);
  require_utf8(content, file.string());
  return content;
}

nlohmann::json parse_model_json(const std::string& content, const std::string& file) {
  nlohmann::json json = parse_json_strictly(content, file, kMaxJsonDepth);
  if (!json.is_object())
    throw Error(ErrorKind::kInput, concat(file, ": expected a JSON object, got ", json.type_name()));
  return json;
}

std::optional<nlohmann::json> read_model_json(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return std::nullopt;
  return parse_model_json(read_model_file(file), file.string());
}

std::optional<std::string> special_token_text(const nlohmann::json& config, const std::string& key,
                                              const std::string& file) {
  const nlohmann::json& value = field(config, key, file);
  if (value.is_null()) return std::nullopt;
  if (value.is_object()) return string_field(value, "content", concat(file, ": ", key));
  return string_field(config, key, file);
}

}  // namespace foresight
