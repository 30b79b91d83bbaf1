#include "trainer/base/descriptor.h"

#include <cerrno>

#include "trainer/base/files.h"

namespace foresight {

void write_at(const Descriptor& file, const std::filesystem::path& path, std::uint64_t offset,
              std::string_view content) {
  while (!content.empty()) {
    const ssize_t written =
        ::pwrite(file.number(), content.data(), content.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_resource("cannot write", path, errno);
    content.remove_prefix(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

}  // namespace foresight
