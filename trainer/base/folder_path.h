// Whether a folder can be made where a path asks for one.
#pragma once

#include <filesystem>

namespace foresight {

/// Throws Error(kResource) where `folder` cannot be created because it, or a folder above it, is a file, a
/// device or a link that leads to no folder.
void require_no_file_in_the_way(const std::filesystem::path& folder);

}  // namespace foresight
