#include "trainer/base/cores.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

/// The numbers at the start of a file ("max" counts as none and ends them).
std::vector<double> numbers_in(const fs::path& file) {
  std::vector<double> numbers;
  std::ifstream stream(file);
  for (double number = 0; stream >> number;) numbers.push_back(number);
  return numbers;
}

void lower(std::optional<double>& limit, double value) {
  limit = limit ? std::min(*limit, value) : value;
}

/// `look` at the folder of a group and at those above it, up to `top`. In a container the path may be the
/// host's, which does not exist there: the folders of it that exist are used.
template <class Look>
void walk_up(const fs::path& top, const std::string& group, const Look& look) {
  fs::path folder = fs::path(group).relative_path();
  while (true) {
    look(folder.empty() ? top : top / folder);
    if (folder.empty()) return;
    folder = folder.parent_path();
  }
}

void look_at_version_2(const fs::path& folder, std::optional<double>& cores, std::optional<double>& memory) {
  const std::vector<double> time = numbers_in(folder / "cpu.max");  // quota and period, in microseconds
  if (time.size() == 2 && time[1] > 0) lower(cores, time[0] / time[1]);
  const std::vector<double> bytes = numbers_in(folder / "memory.max");
  if (bytes.size() == 1) lower(memory, bytes[0]);
}

/// The path of this process' group for the controller ("" in version 2); none where /proc does not name it.
std::optional<std::string> group_of(const fs::path& root, const std::string& controller) {
  std::ifstream stream(root / "proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {  // number:controllers:path
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (controller.empty() ? names == ",," : names.find("," + controller + ",") != std::string::npos)
      return line.substr(second + 1);
  }
  return std::nullopt;
}

/// The cores of the affinity mask; all cores of the machine where the kernel does not say.
std::vector<int> cores_of_mask() {
  std::vector<int> cores;
  // The kernel's own mask may be longer than cpu_set_t: it says EINVAL then.
  for (std::size_t most = 1024; most <= (std::size_t{1} << 20); most *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(most),
                                                                [](cpu_set_t* set) { CPU_FREE(set); });
    const std::size_t bytes = CPU_ALLOC_SIZE(most);
    if (mask == nullptr || ::sched_getaffinity(0, bytes, mask.get()) != 0) {
      if (mask != nullptr && errno == EINVAL) continue;
      break;
    }
    for (std::size_t core = 0; core < most; ++core) {
      if (CPU_ISSET_S(core, bytes, mask.get())) cores.push_back(static_cast<int>(core));
    }
    return cores;
  }
  for (unsigned core = 0; core < std::max(1U, std::thread::hardware_concurrency()); ++core)
    cores.push_back(static_cast<int>(core));
  return cores;
}

}  // namespace

GroupLimits group_limits(const fs::path& root) {
  GroupLimits limits;
  std::optional<double> memory;
  const fs::path top = root / "sys/fs/cgroup";
  if (const auto group = group_of(root, "")) {
    limits.control_group = *group;
    walk_up(top, *group, [&](const fs::path& folder) { look_at_version_2(folder, limits.cores, memory); });
  }
  if (const auto group = group_of(root, "cpu")) {
    limits.control_group = *group;
    walk_up(top / "cpu", *group, [&](const fs::path& folder) {
      const std::vector<double> quota = numbers_in(folder / "cpu.cfs_quota_us"),
                                period = numbers_in(folder / "cpu.cfs_period_us");
      if (quota.size() == 1 && period.size() == 1 && quota[0] > 0 && period[0] > 0)  // -1: no limit
        lower(limits.cores, quota[0] / period[0]);
    });
  }
  if (const auto group = group_of(root, "memory")) {
    walk_up(top / "memory", *group, [&](const fs::path& folder) {
      const std::vector<double> bytes = numbers_in(folder / "memory.limit_in_bytes");
      if (bytes.size() == 1) lower(memory, bytes[0]);
    });
  }
  constexpr double kNoLimit = 1e18;  // version 1 writes the largest number of pages
  if (memory && *memory < kNoLimit) limits.memory_bytes = static_cast<std::uint64_t>(*memory);
  return limits;
}

CoreGrant core_grant() {
  const GroupLimits limits = group_limits();
  return {.cores = cores_of_mask(), .quota = limits.cores, .control_group = limits.control_group};
}

std::string to_text(const CoreGrant& grant) {
  return concat(join(grant.cores, ","), " ", grant.quota.value_or(0), " ", grant.control_group);
}

CoreGrant core_grant_from(const std::string& text) {
  CoreGrant grant;
  std::istringstream stream(text);
  std::string cores;
  double quota = 0;
  if (!(stream >> cores >> quota))
    throw Error(ErrorKind::kInternal, concat("no grant of cores: ", one_line(text)));
  if (quota > 0) grant.quota = quota;
  std::getline(stream >> std::ws, grant.control_group);
  std::istringstream numbers(cores);
  for (std::string core; std::getline(numbers, core, ',');) grant.cores.push_back(std::stoi(core));
  return grant;
}

int core_share(const std::vector<CoreGrant>& grants, std::size_t own) {
  const CoreGrant& grant = grants.at(own);
  double share = 0;
  for (const int core : grant.cores) {
    const auto users = std::count_if(grants.begin(), grants.end(), [core](const CoreGrant& each) {
      return std::binary_search(each.cores.begin(), each.cores.end(), core);
    });
    share += 1.0 / static_cast<double>(users);
  }
  if (grant.quota) {
    const auto users = std::count_if(grants.begin(), grants.end(), [&grant](const CoreGrant& each) {
      return each.control_group == grant.control_group;
    });
    share = std::min(share, *grant.quota / static_cast<double>(users));
  }
  constexpr double kRounding = 1e-6;  // three thirds are one
  return std::max(1, static_cast<int>(std::floor(share + kRounding)));
}

}  // namespace foresight
