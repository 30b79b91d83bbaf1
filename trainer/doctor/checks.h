// The checks of `foresight doctor`, each of one subject. They look and change nothing, but for a file that
// the check of the folder writes and removes. `root` stands for "/" (tests).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/base/cores.h"
#include "trainer/doctor/finding.h"

namespace foresight {

/// The processor's name and what of its instructions matters here.
Findings check_processor(const std::filesystem::path& root = "/");

/// Cores and time that this process is granted of the machine's `machine_cores`. `asked_threads`:
/// OMP_NUM_THREADS, empty where it is not set.
Findings check_threads(const CoreGrant& grant, int machine_cores, const std::string& asked_threads);

/// Memory of the machine, what of it is free and what the control groups grant (`granted_bytes`, 0: all);
/// the kernel's rule for memory that is asked for and not used.
Findings check_memory(std::uint64_t granted_bytes, const std::filesystem::path& root = "/");

/// Limits of this process that the shell or the batch system set: open files, sizes of files and of memory.
Findings check_limits();

/// Whether the folder that runs will be written to can be: room, locks, what a rename does, its file system.
/// A folder that is not there yet is looked for in the one above it.
Findings check_folder(const std::filesystem::path& folder);

/// Whether all of torch's libraries in this process come from one folder, and whether `search_path`
/// (LD_LIBRARY_PATH) holds another torch.
Findings check_libraries(const std::string& search_path, const std::filesystem::path& root = "/");

/// What torch says of GPUs.
struct GpuFacts {
  bool built_with_cuda = false;
  std::vector<std::uint64_t> memory_bytes;  ///< of each GPU that can be used
};
/// The GPUs that can be used, beside what the driver says that there is.
Findings check_gpus(const GpuFacts& facts, const std::filesystem::path& root = "/");

/// Ranks: whether an MPI build finds mpirun on `path` (PATH), and the shared memory that ranks on one machine
/// use (`root`/dev/shm).
Findings check_ranks(const std::string& mpi_version, const std::string& nccl_version, const std::string& path,
                     const std::filesystem::path& root = "/");

}  // namespace foresight
