#include "trainer/app/commands.h"
#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/config/load.h"

namespace foresight {

std::filesystem::path command_config_init(const std::string& name, const std::filesystem::path& output) {
  constexpr const char* kSigns = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (name.empty() || name.find_first_not_of(kSigns) != std::string::npos || name.front() == '.') {
    throw Error(ErrorKind::kConfig,
                concat("config init: expected a name of letters, digits, '.', '_' and '-', got '",
                       one_line(name), "'"));
  }
  const std::filesystem::path file = output.empty() ? std::filesystem::path(name + ".yaml") : output;
  if (std::filesystem::exists(file)) {
    throw Error(ErrorKind::kConfig,
                concat(file.string(), ": exists already; choose another name, or --out another file"));
  }
  write_file_atomically(file, starting_yaml(name));
  return file;
}

}  // namespace foresight
