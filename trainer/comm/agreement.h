// What the ranks of a job must agree on, although each rank could look it up itself.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "trainer/comm/world.h"

namespace foresight {

/// The files that rank 0 finds, on all ranks, because a network file system may show the others an older
/// folder. It returns when this rank sees all of these files. A collective. It throws what `find` and
/// await_file() throw.
std::vector<std::filesystem::path> files_of_lead(
    World& world, const std::function<std::vector<std::filesystem::path>()>& find, const char* what);

/// A collective: each rank gives the identity of its GPU, empty for none. Throws Error(kConfig), on all
/// ranks, naming two ranks with the same GPU.
void require_own_devices(World& world, const std::string& identity);

}  // namespace foresight
