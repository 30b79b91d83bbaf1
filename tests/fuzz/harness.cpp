#include "tests/fuzz/harness.h"

#include <fcntl.h>
#include <sanitizer/allocator_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "trainer/base/log.h"
#include "trainer/base/text.h"

namespace foresight::fuzz {
namespace {

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "fuzz: %s\n", what.c_str());
  __sanitizer_print_stack_trace();
  std::abort();
}

/// What is allocated between begin() and end(), as the sanitizer's hooks tell it.
class HeldBytes {
 public:
  static void begin(std::size_t limit) {
    [[maybe_unused]] static const int kInstalled = __sanitizer_install_malloc_and_free_hooks(&taken, &given);
    held_ = 0;
    limit_ = static_cast<std::int64_t>(limit);
    watching_ = true;
  }
  static void end() { watching_ = false; }

 private:
  static void taken(const volatile void*, std::size_t bytes) {
    if (!watching_) return;
    held_ += static_cast<std::int64_t>(bytes);
    if (held_ <= limit_) return;
    watching_ = false;  // the report allocates too
    broken(concat(held_.load(), " bytes are held at once, the limit for this input is ", limit_.load()));
  }
  static void given(const volatile void* memory) {
    if (!watching_) return;
    watching_ = false;
    held_ -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(memory)));
    watching_ = true;
  }

  static inline std::atomic<bool> watching_ = false;
  static inline std::atomic<std::int64_t> held_ = 0, limit_ = 0;
};

void check_line(const Promise& promise, const std::string& line) {
  if (line.empty()) broken("an error without a message, or with an empty line");
  if (one_line(line, line.size()) != line) broken(concat("not printable on one line: ", one_line(line)));
  if (line.find(promise.name) == std::string::npos) broken(concat("does not name its file: ", line));
}

void check_message(const Promise& promise, const std::string& message) {
  std::size_t begin = 0;
  while (promise.many_lines && message.find('\n', begin) != std::string::npos) {
    const std::size_t end = message.find('\n', begin);
    check_line(promise, message.substr(begin, end - begin));
    begin = end + 1;
  }
  check_line(promise, message.substr(begin));
}

/// Makes the folder and removes it when the process ends in order.
class WorkFolder {
 public:
  WorkFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "foresight_fuzz_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) broken("no temporary folder");
    path_ = pattern;
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

void expect_kept(const Promise& promise, std::size_t input_bytes, const std::function<void()>& parse) {
  set_log_level(LogLevel::kOff);
  HeldBytes::begin(promise.fixed_bytes + promise.bytes_per_byte * input_bytes);
  try {
    parse();
    HeldBytes::end();
  } catch (const Error& error) {
    HeldBytes::end();
    if (error.kind() != promise.kind) {
      broken(concat("an error of kind ", error.exit_code(), ": ", error.what()));
    }
    check_message(promise, error.what());
  } catch (const std::exception& fault) {
    HeldBytes::end();
    broken(concat("another exception than foresight::Error: ", fault.what()));
  }
}

const std::filesystem::path& work_folder() {
  static const WorkFolder kFolder;
  return kFolder.path();
}

std::filesystem::path put_file(const std::string& name, std::string_view content) {
  std::filesystem::path path = work_folder() / name;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) broken("cannot write the input");
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written <= 0) broken("cannot write the input");
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  ::close(descriptor);
  return path;
}

void touch(std::string_view bytes) {
  unsigned sum = 0;
  for (const char byte : bytes) sum += static_cast<unsigned char>(byte);
  volatile unsigned sink = sum;
  (void)sink;
}

}  // namespace foresight::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  foresight::fuzz::fuzz_one({reinterpret_cast<const char*>(data), size});
  return 0;
}
