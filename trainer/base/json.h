// JSON from files that may be damaged or hostile.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace foresight {

/// `text` as JSON. `where` names the text in messages ("model.safetensors: header").
/// Throws Error(kInput) when it is not JSON, not UTF-8, nested deeper than `max_depth` objects and arrays, or
/// when an object names a key twice (parsers that keep the first and parsers that keep the last would
/// disagree about such a file).
nlohmann::json parse_json_strictly(std::string_view text, const std::string& where, int max_depth);
/// The same, with keys in the order of the text. It also throws Error(kInput) for an object of more than 1024
/// keys, because each key is searched among those before it.
nlohmann::ordered_json parse_ordered_json_strictly(std::string_view text, const std::string& where,
                                                   int max_depth);

}  // namespace foresight
