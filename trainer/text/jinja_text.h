// The text of a Jinja template, brought to one form so that templates can be compared.
#pragma once

#include <optional>
#include <string>

namespace foresight {

/// The template's statements and expressions without blanks outside strings; strings in single quotes with
/// their escapes resolved (only ' and \ stay escaped) and joined where they are added; x.role and x.content
/// as x['role'], x['content']. Neighbouring expressions become one sum. Templates of equal form render
/// equally, given transformers' settings (trim_blocks, lstrip_blocks). Nothing where text stands outside the
/// tags, in comments or in escapes beyond \n \t \' \" \\.
std::optional<std::string> canonical_template(const std::string& text);

/// A string as it stands between the quotes of the canonical form, resolved.
std::string unescape_canonical(const std::string& text);

}  // namespace foresight
