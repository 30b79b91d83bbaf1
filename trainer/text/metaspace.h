// Settings of tokenizer.json's Metaspace, which pre-tokenizer and decoder share.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace foresight {

/// Where Metaspace prepends its sign: at every piece of text between added tokens, at the start of the text
/// only, or nowhere.
enum class PrependScheme { kAlways, kFirst, kNever };

/// "prepend_scheme" ("always" where absent) and the older "add_prefix_space". Throws Error(kInput) naming an
/// unknown scheme, and where the two contradict each other.
PrependScheme read_prepend_scheme(const nlohmann::json& description, const std::string& where);

}  // namespace foresight
