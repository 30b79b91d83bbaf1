#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <system_error>

#include "trainer/base/files.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/doctor/checks.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using enum FindingLevel;

std::vector<fs::path> parts_of(const std::string& search_path) {
  std::vector<fs::path> parts;
  std::istringstream stream(search_path);
  for (std::string part; std::getline(stream, part, ':');) {
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

bool is_there_in(const fs::path& folder, const char* name) {
  std::error_code error;
  return fs::exists(folder / name, error);
}

/// The folders of torch's libraries that this process has mapped.
std::set<std::string> torch_folders(const fs::path& maps) {
  std::set<std::string> folders;
  std::ifstream stream(maps);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t start = line.find('/');
    if (start == std::string::npos) continue;
    const fs::path file = line.substr(start);
    const std::string name = file.filename().string();
    if (name.starts_with("libtorch") || name.starts_with("libc10"))
      folders.insert(file.parent_path().string());
  }
  return folders;
}

}  // namespace

Findings check_libraries(const std::string& search_path, const fs::path& root) {
  const std::set<std::string> folders = torch_folders(root / "proc/self/maps");
  Findings findings;
  if (folders.size() > 1) {
    findings.push_back({kFault, "libraries",
                        concat("torch's libraries come from several folders (", join(folders, ", "),
                               "), which do not fit together; remove the others from LD_PRELOAD and "
                               "LD_LIBRARY_PATH, or build again")});
  } else {
    findings.push_back({kOk, "libraries",
                        folders.empty() ? "torch is not loaded" : concat("torch from ", *folders.begin())});
  }
  for (const fs::path& part : parts_of(search_path)) {
    std::error_code error;
    const std::string real = fs::weakly_canonical(part, error).string();
    if (!is_there_in(part, "libtorch_cpu.so") || folders.contains(part.string()) || folders.contains(real))
      continue;
    findings.push_back(
        {kWarning, "libraries",
         concat("LD_LIBRARY_PATH holds another torch in ", one_line(part.string()),
                ": this program does not use it, but other programs may mix the two; remove it from there")});
  }
  return findings;
}

Findings check_gpus(const GpuFacts& facts, const fs::path& root) {
  std::string driver;
  std::getline(std::ifstream(root / "proc/driver/nvidia/version"), driver);
  std::error_code error;
  std::int64_t present = 0;
  for (fs::directory_iterator entry(root / "proc/driver/nvidia/gpus", error);
       !error && entry != fs::directory_iterator(); entry.increment(error))
    ++present;
  Findings findings;
  if (!driver.empty()) findings.push_back({kOk, "GPU", concat("driver: ", one_line(driver))});
  const auto usable = static_cast<std::int64_t>(facts.memory_bytes.size());
  for (std::int64_t gpu = 0; gpu < usable; ++gpu) {
    findings.push_back(
        {kOk, "GPU",
         concat("GPU ", gpu, ": ", format_bytes(facts.memory_bytes[static_cast<std::size_t>(gpu)]))});
  }
  if (present > 0 && !facts.built_with_cuda) {
    findings.push_back({kWarning, "GPU",
                        concat(present,
                               " GPUs are here, but this build is CPU-only and does not use them; install "
                               "the CUDA toolkit and build again (scripts/setup.sh --check)")});
  } else if (present > 0 && usable == 0) {
    findings.push_back({kFault, "GPU",
                        concat(present,
                               " GPUs are here, but none can be used: the driver is too old for this "
                               "build's CUDA (foresight --version), or CUDA_VISIBLE_DEVICES hides them")});
  } else if (usable == 0) {
    findings.push_back({kOk, "GPU", "none: a run uses the processor"});
  } else if (usable < present) {
    findings.push_back(
        {kWarning, "GPU",
         concat(usable, " of ", present, " GPUs can be used: CUDA_VISIBLE_DEVICES hides others")});
  }
  return findings;
}

Findings check_ranks(const std::string& mpi_version, const std::string& nccl_version, const std::string& path,
                     const fs::path& root) {
  constexpr std::uint64_t kSharedMemory = std::uint64_t{256} << 20;
  Findings findings;
  if (mpi_version.empty()) {
    findings.push_back({kOk, "ranks", "a build without MPI: a job has one rank"});
    return findings;
  }
  const std::vector<fs::path> folders = parts_of(path);
  const bool found = std::any_of(folders.begin(), folders.end(),
                                 [](const fs::path& folder) { return is_there_in(folder, "mpirun"); });
  const std::string built = mpi_version + (nccl_version.empty() ? ", no NCCL" : ", NCCL " + nccl_version);
  if (found) {
    findings.push_back({kOk, "ranks", built});
  } else {
    findings.push_back({kWarning, "ranks",
                        built + ", but there is no mpirun on PATH: jobs of several ranks need it, or srun"});
  }
  std::error_code error;
  const fs::path shared = root / "dev/shm";
  const fs::space_info space = fs::space(shared, error);
  if (!error && space.available < kSharedMemory) {
    findings.push_back({kWarning, "ranks",
                        concat("/dev/shm has ", format_bytes(space.available),
                               ": ranks on one machine communicate through it and may fail to start; give a "
                               "container more of it (--shm-size=1g)")});
  }
  return findings;
}

}  // namespace foresight
