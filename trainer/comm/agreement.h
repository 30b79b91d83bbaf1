// What the ranks of a job must agree on, although each could look for itself.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "trainer/comm/world.h"

namespace foresight {

/// The files that rank 0 finds, on all ranks: a network file system may show the others an older folder.
/// Returns when all of them are there for this rank. A collective; throws what `find` throws, and like
/// await_file().
std::vector<std::filesystem::path> files_of_lead(
    World& world, const std::function<std::vector<std::filesystem::path>()>& find, const char* what);

/// A collective: each rank gives the identity of its GPU, empty for none. Throws Error(kConfig), on all
/// ranks, naming two that have the same one.
void require_own_devices(World& world, const std::string& identity);

}  // namespace foresight
