// Files that another host has just written.
#pragma once

#include <filesystem>

namespace foresight {

/// Returns when `path` is there: a network file system may show a file of another host only after some time.
/// Throws Error(kInput) when it is not there within `most_seconds`.
void await_file(const std::filesystem::path& path, double most_seconds = 90);

}  // namespace foresight
