#include "trainer/model_files/config_json.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"
#include "trainer/model_files/model_folder_json.h"

namespace foresight {

using Json = nlohmann::json;

ConfigJson::ConfigJson(const std::filesystem::path& file) : file_(file.string()) {
  auto json = read_model_json(file);
  if (!json) throw Error(ErrorKind::kInput, file_ + ": not there; is this a Hugging Face model folder?");
  json_ = std::move(*json);
}

const Json& ConfigJson::get(const char* key) const {
  return field(json_, key, file_);
}

std::int64_t ConfigJson::count(const char* key, std::int64_t largest) const {
  const Json& value = get(key);
  if (value.is_null()) fail(key, "missing");
  if (!value.is_number_integer()) fail(key, "expected an integer, got " + shown_json(value));
  if (value < 1 || value > largest) {
    fail(key, concat("out of range: ", value.dump(), ", expected 1 to ", largest));
  }
  return value.get<std::int64_t>();
}

std::int64_t ConfigJson::count(const char* key, std::int64_t largest, std::int64_t when_absent) const {
  return has(key) ? count(key, largest) : when_absent;
}

double ConfigJson::positive(const char* key, double when_absent) const {
  return positive_value(get(key), key, when_absent);
}

double ConfigJson::positive_value(const Json& value, const std::string& name, double when_absent) const {
  if (value.is_null()) return when_absent;
  if (!value.is_number()) fail(name, "expected a number, got " + shown_json(value));
  if (!(value.get<double>() > 0)) fail(name, "must be positive, got " + shown_json(value));
  return value.get<double>();
}

bool ConfigJson::flag(const char* key) const {
  return bool_field(json_, key, /*when_absent=*/false, file_);
}

void ConfigJson::fail(const std::string& key, const std::string& what) const {
  throw Error(ErrorKind::kInput, concat(file_, ": key '", key, "': ", what));
}

}  // namespace foresight
