// How much of the machine this process may use: a batch system or a container may grant less than there is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace foresight {

/// What one process may use.
struct CoreGrant {
  std::vector<int> cores;       ///< numbers of the cores of its affinity mask, ascending
  std::optional<double> quota;  ///< processor time that its control groups allow, in cores; none: no limit
  std::string control_group;    ///< who shares the quota
};

/// What the control groups (version 1 and 2) of this process allow, with the groups above them; `root` stands
/// for "/" (tests). There is no value where there is no limit or none can be read.
struct GroupLimits {
  std::optional<double> cores;
  std::optional<std::uint64_t> memory_bytes;
  std::string control_group;  ///< path of its group of cores
};
GroupLimits group_limits(const std::filesystem::path& root = "/");

/// The grant of this process.
CoreGrant core_grant();

/// A grant as text, and back, to send it to other processes. Throws Error(kInternal) for other text.
std::string to_text(const CoreGrant& grant);
CoreGrant core_grant_from(const std::string& text);

/// Whole cores for process `own` of those that share a machine, at least 1: a core that several may use is
/// divided among them, and so is the quota of one control group.
int core_share(const std::vector<CoreGrant>& grants, std::size_t own);

}  // namespace foresight
