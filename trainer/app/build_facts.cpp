#include "trainer/app/build_facts.h"

#include <torch/version.h>

#include "data/inspect.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/comm/device_group.h"
#include "trainer/comm/world.h"

#ifndef FORESIGHT_CUDA_FACTS
#error "FORESIGHT_CUDA_FACTS comes from CMake (scripts/cmake/foresight_torch.cmake)"
#endif

namespace foresight {

std::string build_facts() {
  const auto or_none = [](const std::string& version) { return version.empty() ? "none" : version; };
  return concat("foresight ", code_version(), "\ntorch     ", TORCH_VERSION, "\nCUDA      ",
                FORESIGHT_CUDA_FACTS, "\nNCCL      ", or_none(nccl_version()), "\nMPI       ",
                or_none(mpi_version()), "\nHDF5      ", hdf5_version(), "\ncompiler  ", "GCC ", __VERSION__);
}

}  // namespace foresight
