#include "trainer/base/standard_output.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      throw Error(ErrorKind::kResource,
                  concat("cannot write the result to stdout: ", std::generic_category().message(errno),
                         "; redirect it to a file or terminal that can be written to, and run again"));
    }
  }
}

}  // namespace foresight
