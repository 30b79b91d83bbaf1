#include "trainer/model_files/json_fields.h"

#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

namespace {

using Json = nlohmann::json;

[[noreturn]] void wrong_type(const std::string& where, const std::string& key, const char* expected,
                             const Json& got) {
  throw Error(ErrorKind::kInput,
              concat(where, ": \"", one_line(key), "\": expected ", expected, ", got ", got.type_name()));
}

}  // namespace

const Json& field(const Json& object, const std::string& key, const std::string& where) {
  static const Json kNull;
  if (!object.is_object()) {
    throw Error(ErrorKind::kInput,
                concat(where, ": expected an object with \"", one_line(key), "\", got ", object.type_name()));
  }
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string string_field(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = field(object, key, where);
  if (!value.is_string()) wrong_type(where, key, "a string", value);
  return value.get<std::string>();
}

bool bool_field(const Json& object, const std::string& key, bool when_absent, const std::string& where) {
  const Json& value = field(object, key, where);
  if (value.is_null()) return when_absent;
  if (!value.is_boolean()) wrong_type(where, key, "true or false", value);
  return value.get<bool>();
}

const Json& list_field(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = field(object, key, where);
  if (!value.is_array()) wrong_type(where, key, "a list", value);
  return value;
}

const Json& object_field(const Json& object, const std::string& key, const std::string& where) {
  const Json& value = field(object, key, where);
  if (!value.is_object()) wrong_type(where, key, "an object", value);
  return value;
}

std::string shown_json(const Json& value) {
  return value.is_structured() ? value.type_name() : one_line(value.dump());
}

std::int32_t token_id_of(const Json& value, const std::string& name, const std::string& where) {
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kLargest) {
    throw Error(ErrorKind::kInput, concat(where, ": ", name, ": expected a token id from 0 to ", kLargest,
                                          ", got ", shown_json(value)));
  }
  return value.get<std::int32_t>();
}

}  // namespace foresight
