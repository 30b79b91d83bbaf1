// Reads files from others in a process of its own, where a crash does no harm.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace foresight {

/// What a reader may take beyond what this process holds already.
struct ReaderLimits {
  std::uint64_t processor_seconds = 60;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;
};

/// Runs `read` in a forked process with these limits and returns its text. Errors that it throws are thrown
/// here; when the process crashes or exceeds a limit, Error(kInput) names `path` and how it ended. Call it
/// while this process has one thread, because a fork copies no other.
std::string read_in_child(const std::filesystem::path& path, const ReaderLimits& limits,
                          const std::function<std::string()>& read);

}  // namespace foresight
