// Files that another host has just written.
#pragma once

#include <filesystem>

namespace foresight {

/// Waits until `path` exists: a network file system may show a file that another host wrote only after some
/// time. Throws Error(kInput) when it does not exist within `most_seconds`.
void await_file(const std::filesystem::path& path, double most_seconds = 90);

}  // namespace foresight
