// Files that are written whole or not at all, digests, and free disk space.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace foresight {

/// Throws Error(kResource) "<action> <path>: <cause>", with what to do, for an errno.
[[noreturn]] void throw_resource(const char* action, const std::filesystem::path& path, int error_number);

/// Writes all of `content` to an open descriptor. 0, or the errno of the call that failed; a part may be
/// written then.
int write_all(int descriptor, std::string_view content);

/// The whole file. Throws Error(kInput) naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Writes `content` to `path` by staging file, fsync, rename, fsync of the parent: readers see the old or the
/// new file, never a part. Creates missing parent folders. If `path` is a symbolic link, the file that it
/// leads to is written and the link stays. A character device, or a pipe that has a reader, is written to
/// directly and never replaced by a file. Throws Error(kResource) naming path and cause (no space left, a
/// folder, a block device, a pipe that nobody reads, links in a circle...).
void write_file_atomically(const std::filesystem::path& path, std::string_view content);
/// The same for content in several parts, which are written in order.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> parts);

/// Creates `folder` and its missing ancestors, and makes each new entry durable in the folder above it.
/// Throws Error(kResource).
void create_folders(const std::filesystem::path& folder);

/// fsync of a file or a folder. Throws Error(kResource).
void sync_path(const std::filesystem::path& path);

/// Publishes `staging` (a closed file or a complete folder) as `final_path`: fsync of every file in it,
/// rename, fsync of the parent. An existing `final_path` file is replaced; an existing folder, device or pipe
/// is an error.
void publish(const std::filesystem::path& staging, const std::filesystem::path& final_path);

/// The path a writer stages `final_path` under: same folder, suffix ".foresight.partial". Only this program
/// uses the suffix, so files with it may be overwritten and removed.
std::filesystem::path staging_path(const std::filesystem::path& final_path);
/// True for a path that staging_path() made.
bool is_staging_path(const std::filesystem::path& path);

/// Whether anything exists at `path`; also false if that cannot be determined.
bool is_there(const std::filesystem::path& path);

/// SHA-256 as 64 hex digits.
std::string sha256_hex(std::string_view bytes);
std::string sha256_file_hex(const std::filesystem::path& path);

/// Bytes free to this user on the file system that will hold `path` (which need not exist yet).
std::uint64_t free_disk_bytes(const std::filesystem::path& path);

/// `path` with a leading `~` or `~/` replaced by $HOME. Throws Error(kConfig) where HOME is
/// not set, and for ~NAME, another user's home, which is not looked up.
std::string expand_home(const std::string& path);
/// The same, and ${NAME} replaced by the environment variable. Throws Error(kConfig) naming an unset
/// variable, and for a name in the path that begins as $NAME does.
std::string expand_path(const std::string& path);

/// Throws Error(kInput) if `content`, the start of `file` or all of it, is the pointer that Git LFS leaves in
/// place of a file that was not fetched.
void refuse_lfs_pointer(std::string_view content, const std::filesystem::path& file);

/// Read-only memory map of a whole file. Move-only. Throws Error(kInput) when the file cannot be mapped.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace foresight
