#include "trainer/text/metaspace.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model_files/json_fields.h"

namespace foresight {

PrependScheme read_prepend_scheme(const nlohmann::json& description, const std::string& where) {
  PrependScheme scheme = PrependScheme::kAlways;
  if (!field(description, "prepend_scheme", where).is_null()) {
    const std::string name = string_field(description, "prepend_scheme", where);
    if (name == "first") {
      scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      scheme = PrependScheme::kNever;
    } else if (name != "always") {
      throw Error(ErrorKind::kInput, concat(where, ": prepend_scheme ", one_line(name),
                                            " is not supported (known: always, first, never)"));
    }
  }
  if (!bool_field(description, "add_prefix_space", true, where) && scheme != PrependScheme::kNever) {
    throw Error(ErrorKind::kInput,
                concat(where, ": add_prefix_space is false, but prepend_scheme is not \"never\""));
  }
  return scheme;
}

}  // namespace foresight
