#include <torch/cuda.h>

#include <cstdlib>
#include <sstream>
#include <thread>

#include "trainer/app/build_facts.h"
#include "trainer/app/commands.h"
#include "trainer/base/cores.h"
#include "trainer/base/error.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/text.h"
#include "trainer/comm/device_group.h"
#include "trainer/comm/world.h"
#include "trainer/doctor/checks.h"
#include "trainer/model/device_memory.h"

namespace foresight {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Findings build_findings() {
  Findings findings;
  std::istringstream lines(build_facts());
  for (std::string line; std::getline(lines, line);) findings.push_back({FindingLevel::kOk, "build", line});
  return findings;
}

GpuFacts gpu_facts() {
  GpuFacts facts;
#ifdef FORESIGHT_WITH_CUDA
  facts.built_with_cuda = true;
#endif
  const auto count = static_cast<int>(torch::cuda::device_count());
  for (int gpu = 0; gpu < count; ++gpu) {
    facts.memory_bytes.push_back(
        device_memory_bytes(c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(gpu))));
  }
  return facts;
}

}  // namespace

void command_doctor(const std::filesystem::path& folder, OutputForm form) {
  const std::string search_path = variable("LD_LIBRARY_PATH"), path = variable("PATH");
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  Findings all;
  for (const Findings& some :
       {build_findings(), check_libraries(search_path), check_processor(),
        check_threads(core_grant(), cores, variable("OMP_NUM_THREADS")),
        check_memory(group_limits().memory_bytes.value_or(0)), check_gpus(gpu_facts()),
        check_ranks(mpi_version(), nccl_version(), path), check_limits(), check_folder(folder)}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  print(form == OutputForm::kJson ? findings_json(all).dump(2) + "\n" : findings_text(all));
  if (const std::size_t faults = count_of(all, FindingLevel::kFault); faults > 0) {
    throw Error(ErrorKind::kResource, concat("doctor: ", faults, faults == 1 ? " fault" : " faults",
                                             " on this machine; each line above says what to do"));
  }
}

}  // namespace foresight
