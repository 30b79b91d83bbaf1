#include "trainer/base/cores.h"

#include <sched.h>

#include <map>
#include <stdexcept>

#include "tests/base/child.h"
#include "tests/base/temporary_folder.h"
#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

/// Writes files below a folder: path -> content.
void write_files(const TemporaryFolder& root, const std::map<std::string, std::string>& files) {
  for (const auto& [name, content] : files) {
    std::filesystem::create_directories((root / name).parent_path());
    root.write(name, content);
  }
}

TEST_CASE("cores: a process may use those of its affinity mask") {
  const ChildResult result = run_child([] {
    const int first = core_grant().cores.at(0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(first), &one);
    if (::sched_setaffinity(0, sizeof(one), &one) != 0) throw std::runtime_error("no mask");
    if (core_grant().cores != std::vector<int>{first}) throw std::runtime_error("other cores");
  });
  CHECK(result.exit_status == 0);
}

TEST_CASE("cores: ranks that are bound keep their cores, ranks that share them divide them") {
  const CoreGrant all{.cores = {0, 1, 2, 3, 4, 5, 6, 7}, .quota = {}, .control_group = "/job"};
  const CoreGrant low{.cores = {0, 1, 2, 3}, .quota = {}, .control_group = "/job"};
  const CoreGrant high{.cores = {4, 5, 6, 7}, .quota = {}, .control_group = "/job"};
  CHECK(core_share({all}, 0) == 8);
  CHECK(core_share({all, all}, 1) == 4);
  CHECK(core_share({all, all, all}, 2) == 2);
  CHECK(core_share(std::vector<CoreGrant>(20, all), 3) == 1);
  CHECK(core_share({low, high}, 0) == 4);
  CHECK(core_share({low, high, high}, 2) == 2);
  CHECK(core_share({all, high}, 0) == 6);
}

TEST_CASE("cores: a quota of time counts in whole cores, divided among those of its group") {
  CoreGrant grant{.cores = {0, 1, 2, 3, 4, 5, 6, 7}, .quota = 3.5, .control_group = "/a"};
  CHECK(core_share({grant}, 0) == 3);
  CHECK(core_share({grant, grant}, 0) == 1);
  CoreGrant other = grant;
  other.control_group = "/b";
  CHECK(core_share({grant, other}, 0) == 3);
  grant.quota = 0.5;
  CHECK(core_share({grant}, 0) == 1);
  grant.quota = 100;
  CHECK(core_share({grant}, 0) == 8);
}

TEST_CASE("cores: a grant survives the way to text and back") {
  for (const CoreGrant& grant : {CoreGrant{.cores = {0, 5, 17}, .quota = 2.5, .control_group = "/job 7/step"},
                                 CoreGrant{.cores = {3}, .quota = {}, .control_group = ""}}) {
    const CoreGrant read = core_grant_from(to_text(grant));
    CHECK(read.cores == grant.cores);
    CHECK(read.quota == grant.quota);
    CHECK(read.control_group == grant.control_group);
  }
  CHECK_THROWS_AS(core_grant_from("nothing"), Error);
}

TEST_CASE("cores: the limits of a control group and of those above it count (version 2)") {
  const TemporaryFolder root;
  write_files(root, {{"proc/self/cgroup", "0::/slurm/job_7\n"}});
  CHECK_FALSE(group_limits(root.path()).cores.has_value());
  write_files(root, {{"sys/fs/cgroup/slurm/job_7/cpu.max", "max 100000\n"}});
  write_files(root, {{"sys/fs/cgroup/slurm/job_7/memory.max", "max\n"}});
  CHECK_FALSE(group_limits(root.path()).cores.has_value());
  CHECK_FALSE(group_limits(root.path()).memory_bytes.has_value());
  write_files(root, {{"sys/fs/cgroup/slurm/cpu.max", "250000 100000\n"}});
  write_files(root, {{"sys/fs/cgroup/slurm/memory.max", "1073741824\n"}});
  write_files(root, {{"sys/fs/cgroup/slurm/job_7/memory.max", "2147483648\n"}});
  const GroupLimits limits = group_limits(root.path());
  CHECK(limits.cores == 2.5);
  CHECK(limits.memory_bytes == 1073741824U);
  CHECK(limits.control_group == "/slurm/job_7");
}

TEST_CASE("cores: the limits of a control group count (version 1, and seen from inside a container)") {
  const TemporaryFolder root;
  write_files(root, {{"proc/self/cgroup",
                      "9:name=systemd:/\n4:memory:/docker/ab\n2:cpu,cpuacct:/docker/ab\n0::/\n"}});
  write_files(root, {{"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"}});
  write_files(root, {{"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}});
  write_files(root, {{"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}});
  CHECK_FALSE(group_limits(root.path()).cores.has_value());
  CHECK_FALSE(group_limits(root.path()).memory_bytes.has_value());
  write_files(root, {{"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n"}});
  write_files(root, {{"sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"}});
  const GroupLimits limits = group_limits(root.path());
  CHECK(limits.cores == 4.0);
  CHECK(limits.memory_bytes == 536870912U);
}

}  // namespace
}  // namespace foresight
