// The checks of `foresight doctor` on invented machines: files below another root, grants that are given.
#include "trainer/doctor/checks.h"

#include <sys/resource.h>
#include <unistd.h>

#include "tests/base/temporary_folder.h"
#include "tests/catch.h"

namespace foresight {
namespace {

using Catch::Contains;
using enum FindingLevel;

/// Levels and texts of findings as one text, for CHECK_THAT.
std::string said(const Findings& findings) {
  return findings_text(findings);
}

std::size_t faults(const Findings& findings) {
  return count_of(findings, kFault);
}

std::size_t warnings(const Findings& findings) {
  return count_of(findings, kWarning);
}

void write_below(const TemporaryFolder& root, const std::string& file, const std::string& content) {
  std::filesystem::create_directories((root / file).parent_path());
  root.write(file, content);
}

CoreGrant cores(int count) {
  CoreGrant grant;
  for (int core = 0; core < count; ++core) grant.cores.push_back(core);
  return grant;
}

TEST_CASE("doctor: a processor without AVX2 is a warning, bfloat16 decides the type of products",
          "[doctor]") {
  const TemporaryFolder root;
  write_below(root, "proc/cpuinfo", "model name\t: Old 1\nflags\t\t: fpu sse2 avx\n\nmodel name\t: Old 1\n");
  CHECK_THAT(said(check_processor(root.path())), Contains("Old 1") && Contains("without AVX2"));
  CHECK(warnings(check_processor(root.path())) == 1);
  write_below(root, "proc/cpuinfo", "model name\t: New 2\nflags\t\t: fpu avx2 avx512f avx512_bf16\n");
  CHECK(warnings(check_processor(root.path())) == 0);
  CHECK_THAT(said(check_processor(root.path())),
             Contains("New 2; avx2, avx512f, avx512_bf16") && Contains("bfloat16"));
  write_below(root, "proc/cpuinfo", "flags : avx2\n");
  CHECK_THAT(said(check_processor(root.path())), Contains("runtime.dtype auto is float32"));
  write_below(root, "proc/cpuinfo", "");
  CHECK(faults(check_processor(root.path())) == 0);
}

TEST_CASE("doctor: fewer cores than the machine has are a warning that says who grants them", "[doctor]") {
  CHECK(warnings(check_threads(cores(4), 4, "")) == 0);
  CHECK_THAT(said(check_threads(cores(2), 4, "")), Contains("2 of the machine's 4") && Contains("affinity"));
  CoreGrant limited = cores(4);
  limited.quota = 1.5;
  CHECK_THAT(said(check_threads(limited, 4, "")), Contains("1 of the machine's 4") && Contains("1.5 cores"));
}

TEST_CASE("doctor: OMP_NUM_THREADS is compared with the granted cores", "[doctor]") {
  CHECK(warnings(check_threads(cores(4), 4, "4")) == 0);
  CHECK_THAT(said(check_threads(cores(4), 4, "8")), Contains("more threads than the 4"));
  CHECK_THAT(said(check_threads(cores(4), 4, "1")), Contains("leaves 3 cores unused"));
  CHECK_THAT(said(check_threads(cores(4), 4, "many")), Contains("is not a number of threads"));
}

TEST_CASE("doctor: memory that a control group or the kernel's rule takes away is a warning", "[doctor]") {
  const TemporaryFolder root;
  write_below(root, "proc/meminfo", "MemTotal:       16777216 kB\nMemAvailable:    8388608 kB\n");
  CHECK(warnings(check_memory(0, root.path())) == 0);
  CHECK_THAT(said(check_memory(0, root.path())), Contains("16 GiB in the machine, 8 GiB of them free"));
  CHECK_THAT(said(check_memory(std::uint64_t{4} << 30, root.path())), Contains("grants 4 GiB"));
  write_below(root, "proc/sys/vm/overcommit_memory", "2\n");
  CHECK_THAT(said(check_memory(0, root.path())), Contains("vm.overcommit_memory is 2"));
}

TEST_CASE("doctor: a limit of open files that is too low is a fault", "[doctor]") {
  rlimit before = {};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const auto findings_with = [&](rlim_t files) {
    const rlimit limit = {files, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    const Findings findings = check_limits();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    return findings;
  };
  CHECK(faults(findings_with(64)) == 1);
  CHECK_THAT(said(findings_with(64)), Contains("open files: 64 are too few") && Contains("ulimit -n 4096"));
  CHECK_THAT(said(findings_with(512)), Contains("warning") && Contains("open files: 512"));
  CHECK(faults(findings_with(1024)) == 0);
}

TEST_CASE("doctor: a folder that can be written to is ok, and nothing stays in it", "[doctor]") {
  const TemporaryFolder folder;
  const Findings findings = check_folder(folder / "runs/not/there");
  CHECK(faults(findings) == 0);
  CHECK_THAT(said(findings), Contains("free under " + folder.path().string()) && Contains("locks work"));
  CHECK(std::filesystem::is_empty(folder.path()));
  folder.write("file", "");
  CHECK(faults(check_folder(folder / "file")) == 1);
  CHECK_THAT(said(check_folder(folder / "file")), Contains("is a file: choose another folder"));
}

TEST_CASE("doctor: a folder that refuses files is a fault that names the cause", "[doctor]") {
  const Findings findings = check_folder("/proc");
  CHECK(faults(findings) == 1);
  CHECK_THAT(said(findings), Contains("/proc cannot be written to") && Contains("choose another folder"));
}

TEST_CASE("doctor: torch's libraries of two folders are a fault, another torch on the path a warning",
          "[doctor]") {
  const TemporaryFolder root;
  write_below(root, "proc/self/maps",
              "7f00-7f01 r-xp 0 08:01 1 /a/lib/libtorch_cpu.so\n7f02-7f03 r--p 0 08:01 2 /a/lib/libc10.so\n");
  CHECK_THAT(said(check_libraries("", root.path())), Contains("torch from /a/lib"));
  CHECK(warnings(check_libraries("/nothing:/a/lib:", root.path())) == 0);
  write_below(root, "other/libtorch_cpu.so", "");
  CHECK_THAT(said(check_libraries("/nothing:" + (root / "other").string(), root.path())),
             Contains("warning") && Contains("another torch in " + (root / "other").string()));
  write_below(root, "proc/self/maps", "7f00 r /a/lib/libtorch_cpu.so\n7f02 r /b/lib/libc10.so\n");
  CHECK(faults(check_libraries("", root.path())) == 1);
  CHECK_THAT(said(check_libraries("", root.path())), Contains("(/a/lib, /b/lib)"));
}

TEST_CASE("doctor: GPUs that cannot be used are a fault, or a warning of a CPU-only build", "[doctor]") {
  const TemporaryFolder root;
  CHECK_THAT(said(check_gpus({}, root.path())), Contains("none: a run uses the processor"));
  write_below(root, "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX  580.82\nGCC\n");
  write_below(root, "proc/driver/nvidia/gpus/0000:01/information", "");
  write_below(root, "proc/driver/nvidia/gpus/0000:02/information", "");
  CHECK(warnings(check_gpus({}, root.path())) == 1);
  CHECK_THAT(said(check_gpus({}, root.path())), Contains("CPU-only") && Contains("580.82"));
  CHECK(faults(check_gpus({.built_with_cuda = true, .memory_bytes = {}}, root.path())) == 1);
  const Findings one =
      check_gpus({.built_with_cuda = true, .memory_bytes = {std::uint64_t{80} << 30}}, root.path());
  CHECK_THAT(said(one), Contains("GPU 0: 80 GiB") && Contains("1 of 2 GPUs can be used"));
}

TEST_CASE("doctor: an MPI build without mpirun on the path is a warning", "[doctor]") {
  const TemporaryFolder root;
  write_below(root, "bin/mpirun", "");
  const std::string path = "/nothing:" + (root / "bin").string();
  CHECK(warnings(check_ranks("Open MPI v4.1.4", "2.28.9", path, root.path())) == 0);
  CHECK_THAT(said(check_ranks("Open MPI v4.1.4", "", path, root.path())), Contains("no NCCL"));
  CHECK_THAT(said(check_ranks("Open MPI v4.1.4", "", "/nothing", root.path())),
             Contains("no mpirun on PATH"));
  CHECK(warnings(check_ranks("", "", "", root.path())) == 0);
}

TEST_CASE("doctor: findings as JSON hold level, subject and text, and their numbers", "[doctor]") {
  const auto json = findings_json({{kOk, "a", "fine"}, {kFault, "b", "bad\n"}, {kWarning, "c", "so so"}});
  CHECK(json.at("findings").size() == 3);
  CHECK(json.at("findings")[1] ==
        nlohmann::ordered_json({{"level", "fault"}, {"subject", "b"}, {"text", "bad\\n"}}));
  CHECK(json.at("faults") == 1);
  CHECK(json.at("warnings") == 1);
}

}  // namespace
}  // namespace foresight
