// What files.cpp, staged_file.cpp and scratch_file.cpp share. Private to trainer/base.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>

namespace foresight {

/// A file descriptor that is closed when this goes out of scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }
  /// Closes now and says whether that succeeded: network file systems report a full disk only here.
  bool close() { return ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

/// Writes all of `content` from byte `offset` on. Throws Error(kResource) naming `path` and the cause.
void write_at(const Descriptor& file, const std::filesystem::path& path, std::uint64_t offset,
              std::string_view content);

}  // namespace foresight
