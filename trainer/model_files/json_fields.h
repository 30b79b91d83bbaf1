// Typed access to the objects of a model folder's JSON files.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace foresight {

/// The value under `key`; a null value where the key is absent. Throws Error(kInput), naming `where`, when
/// `object` is no object.
const nlohmann::json& field(const nlohmann::json& object, const std::string& key, const std::string& where);

// Each throws Error(kInput), naming `where` and the key, when the value is absent (and has no default) or of
// another type.
std::string string_field(const nlohmann::json& object, const std::string& key, const std::string& where);
bool bool_field(const nlohmann::json& object, const std::string& key, bool when_absent,
                const std::string& where);
const nlohmann::json& list_field(const nlohmann::json& object, const std::string& key,
                                 const std::string& where);
const nlohmann::json& object_field(const nlohmann::json& object, const std::string& key,
                                   const std::string& where);

/// `value` for a message: its text on one line, cut where it is long; of a list or an object the type alone.
std::string shown_json(const nlohmann::json& value);

/// A token id: an integer from 0 to 2^31 - 1. `name` is how messages call it.
std::int32_t token_id_of(const nlohmann::json& value, const std::string& name, const std::string& where);

}  // namespace foresight
