#include <cctype>
#include <cstdlib>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

bool is_name_letter(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

/// `text` with ${NAME} replaced by the environment variable.
std::string expand_environment(const std::string& text) {
  std::string expanded;
  std::size_t position = 0;
  while (true) {
    const std::size_t start = text.find("${", position);
    expanded += text.substr(position, start - position);
    if (start == std::string::npos) return expanded;
    std::size_t end = start + 2;
    while (end < text.size() && is_name_letter(text[end])) ++end;
    const std::string name = text.substr(start + 2, end - start - 2);
    if (end >= text.size() || text[end] != '}' || name.empty()) {
      throw Error(ErrorKind::kConfig,
                  concat("\"", one_line(text), "\": expected ${NAME} with a name of letters, digits and _"));
    }
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) {
      throw Error(ErrorKind::kConfig, concat("\"", one_line(text), "\": the environment variable ",
                                             one_line(name), " is not set; set it and run again"));
    }
    expanded += value;
    position = end + 1;
  }
}

/// A shell would have replaced $NAME; here it would become the name of a folder.
void refuse_bare_variable(const std::string& path) {
  for (std::size_t at = path.find('$'); at != std::string::npos; at = path.find('$', at + 1)) {
    const bool begins_name = at == 0 || path[at - 1] == '/';
    std::size_t end = at + 1;
    while (end < path.size() && is_name_letter(path[end])) ++end;
    if (!begins_name || end == at + 1) continue;
    throw Error(ErrorKind::kConfig,
                concat("\"", one_line(path), "\": write ${", path.substr(at + 1, end - at - 1),
                       "} for the environment variable"));
  }
}

}  // namespace

std::string expand_home(const std::string& path) {
  if (!path.starts_with('~')) return path;
  if (path != "~" && path[1] != '/') {
    const std::string name = one_line(path);
    throw Error(ErrorKind::kConfig, concat("\"", name,
                                           "\": the home folder of another user is not looked up; "
                                           "write the path in full, or ./",
                                           name, " for a name that begins with ~"));
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    throw Error(ErrorKind::kConfig,
                concat("\"", one_line(path),
                       "\": the environment variable HOME is not set; set it, or write the "
                       "path in full"));
  }
  return home + path.substr(1);
}

std::string expand_path(const std::string& path) {
  refuse_bare_variable(path);
  if (!path.starts_with('~')) return expand_environment(path);
  const std::string whole = expand_home(path);  // a home folder's name is taken as it is
  return whole.substr(0, whole.size() - (path.size() - 1)) + expand_environment(path.substr(1));
}

}  // namespace foresight
