// The world of several ranks, over MPI.
#pragma once

#include <memory>
#include <string>

#include "trainer/comm/world.h"

namespace foresight {

/// Starts MPI and joins its ranks. Throws Error(kPeer) when MPI fails. In builds with MPI only.
std::unique_ptr<World> join_mpi_world();

/// "Open MPI v4.1.4". In builds with MPI only.
std::string mpi_library_version();

}  // namespace foresight
