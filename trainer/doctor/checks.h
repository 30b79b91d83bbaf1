// The checks of `foresight doctor`, each of one subject. They change nothing, except for a file that the
// folder check writes and removes. `root` stands for "/" (tests).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/base/cores.h"
#include "trainer/doctor/finding.h"

namespace foresight {

/// The processor's name and those of its instruction sets that matter here.
Findings check_processor(const std::filesystem::path& root = "/");

/// Cores and processor time that this process may use of the machine's `machine_cores`. `asked_threads`:
/// OMP_NUM_THREADS, empty where it is not set.
Findings check_threads(const CoreGrant& grant, int machine_cores, const std::string& asked_threads);

/// The machine's memory, how much is free and how much the control groups allow (`granted_bytes`, 0: all),
/// and the kernel's overcommit setting.
Findings check_memory(std::uint64_t granted_bytes, const std::filesystem::path& root = "/");

/// Limits of this process that the shell or the batch system set: open files, sizes of files and of memory.
Findings check_limits();

/// Whether runs can be written to the folder: free space, locks, renames, its file system. If the folder does
/// not exist yet, the nearest one above it is checked.
Findings check_folder(const std::filesystem::path& folder);

/// Whether all of torch's libraries in this process come from one folder, and whether `search_path`
/// (LD_LIBRARY_PATH) holds another torch.
Findings check_libraries(const std::string& search_path, const std::filesystem::path& root = "/");

/// What torch reports about GPUs.
struct GpuFacts {
  bool built_with_cuda = false;
  std::vector<std::uint64_t> memory_bytes;  ///< of each GPU that can be used
};
/// Compares the GPUs that can be used with those that the driver reports.
Findings check_gpus(const GpuFacts& facts, const std::filesystem::path& root = "/");

/// Ranks: whether an MPI build finds mpirun on `path` (PATH), and the shared memory that ranks on one machine
/// use (`root`/dev/shm).
Findings check_ranks(const std::string& mpi_version, const std::string& nccl_version, const std::string& path,
                     const std::filesystem::path& root = "/");

}  // namespace foresight
