#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "trainer/base/progress.h"
#include "trainer/base/text.h"
#include "trainer/doctor/checks.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using enum FindingLevel;

/// The first of each "name : value" in a file of /proc.
std::map<std::string, std::string> named_values(const fs::path& file) {
  std::map<std::string, std::string> values;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = line.substr(0, line.find_last_not_of(" \t", colon - (colon > 0 ? 1 : 0)) + 1);
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    values.emplace(name, start == std::string::npos ? "" : line.substr(start));
  }
  return values;
}

std::string value_of(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? "" : found->second;
}

/// Of /proc/meminfo, whose values are in KiB.
std::uint64_t memory_value(const std::map<std::string, std::string>& values, const std::string& name) {
  return std::strtoull(value_of(values, name).c_str(), nullptr, 10) * 1024;
}

std::string limit_text(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : concat(limit);
}

}  // namespace

Findings check_processor(const fs::path& root) {
  const auto facts = named_values(root / "proc/cpuinfo");
  const std::string features = " " + value_of(facts, "flags") + value_of(facts, "Features") + " ";
  const auto has = [&](const std::string& name) {
    return features.find(" " + name + " ") != std::string::npos;
  };
  std::vector<std::string> known;
  for (const char* name : {"avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16"}) {
    if (has(name)) known.emplace_back(name);
  }
  const std::string model = value_of(facts, "model name");
  const std::string text = concat(model.empty() ? "the kernel does not name it" : one_line(model), "; ",
                                  known.empty() ? "no vector instructions known here" : join(known, ", "));
  const bool old = !value_of(facts, "flags").empty() && !has("avx2");
  if (old)
    return {{kWarning, "processor", text + ": without AVX2, matrix products are several times slower"}};
  const bool bfloat16 = has("avx512_bf16") || has("amx_bf16") || has("bf16");
  return {{kOk, "processor",
           text + (bfloat16 ? "; runtime.dtype auto is bfloat16" : "; runtime.dtype auto is float32")}};
}

Findings check_threads(const CoreGrant& grant, int machine_cores, const std::string& asked_threads) {
  const int granted = core_share({grant}, 0);
  std::string text = concat(granted, " of the machine's ", machine_cores, " cores may be used");
  Findings findings;
  if (granted < machine_cores) {
    text += grant.quota && *grant.quota < static_cast<double>(grant.cores.size())
                ? concat(" (a control group grants the time of ", *grant.quota, " cores)")
                : std::string(" (the affinity mask of this process)");
    findings.push_back({kWarning, "threads", text + ": a run uses at most that many threads"});
  } else {
    findings.push_back({kOk, "threads", text});
  }
  if (asked_threads.empty()) return findings;
  const int asked = std::atoi(asked_threads.c_str());
  const std::string named = concat("OMP_NUM_THREADS=", one_line(asked_threads));
  if (asked <= 0) {
    findings.push_back({kWarning, "threads", named + " is not a number of threads: it is ignored"});
  } else if (asked > granted) {
    findings.push_back({kWarning, "threads",
                        concat(named, " asks for more threads than the ", granted,
                               " cores granted: they wait for one another, and steps take longer")});
  } else if (asked < granted) {
    findings.push_back(
        {kWarning, "threads",
         concat(named, " leaves ", granted - asked,
                " cores unused, unless several ranks share them; runtime.threads overrides it")});
  }
  return findings;
}

Findings check_memory(std::uint64_t granted_bytes, const fs::path& root) {
  const auto facts = named_values(root / "proc/meminfo");
  const std::uint64_t total = memory_value(facts, "MemTotal"), free = memory_value(facts, "MemAvailable");
  Findings findings;
  std::string text = concat(format_bytes(total), " in the machine, ", format_bytes(free), " of them free");
  if (granted_bytes > 0 && granted_bytes < total) {
    findings.push_back({kWarning, "memory",
                        concat(text, "; a control group grants ", format_bytes(granted_bytes),
                               ": the kernel ends a process that takes more")});
  } else {
    findings.push_back({kOk, "memory", text});
  }
  int rule = 0;
  std::ifstream(root / "proc/sys/vm/overcommit_memory") >> rule;
  if (rule == 2) {
    findings.push_back({kWarning, "memory",
                        "vm.overcommit_memory is 2: the kernel may refuse memory that is free, which ends a "
                        "run with exit code 4"});
  }
  return findings;
}

Findings check_limits() {
  constexpr rlim_t kFewFiles = 256, kUsualFiles = 1024;
  rlimit files = {};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const std::string open = concat("open files: ", limit_text(files.rlim_cur));
  Findings findings;
  if (files.rlim_cur < kFewFiles) {
    findings.push_back(
        {kFault, "limits", open + " are too few for models in shards; raise them: ulimit -n 4096"});
  } else if (files.rlim_cur < kUsualFiles) {
    findings.push_back({kWarning, "limits", open + ": a model in many shards may not open; ulimit -n 4096"});
  } else {
    findings.push_back({kOk, "limits", open});
  }
  struct Limit {
    __rlimit_resource resource;
    const char* what;
    const char* meaning;
  };
  constexpr std::array<Limit, 4> kLimits = {
      {{RLIMIT_FSIZE, "size of a file (ulimit -f)", "a larger checkpoint or oracle file ends a run"},
       {RLIMIT_AS, "address space (ulimit -v)",
        "weights are mapped, so it must be much larger than the model"},
       {RLIMIT_DATA, "data (ulimit -d)", "a run that needs more memory ends"},
       {RLIMIT_CPU, "processor time (ulimit -t)", "a run saves and stops when it is used up"}}};
  for (const Limit& limit : kLimits) {
    rlimit value = {};
    if (::getrlimit(limit.resource, &value) != 0 || value.rlim_cur == RLIM_INFINITY) continue;
    findings.push_back(
        {kWarning, "limits", concat(limit.what, " is limited to ", value.rlim_cur, ": ", limit.meaning)});
  }
  return findings;
}

}  // namespace foresight
