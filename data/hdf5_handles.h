// HDF5's C API with owned handles and thrown errors. Private to data/oracle_*.cpp: it includes hdf5.h.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include "trainer/base/error.h"

namespace foresight::hdf5 {

/// An identifier that is closed when this goes out of scope.
class Handle {
 public:
  Handle() = default;
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), close_(closer) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    if (this != &other) {
      close();
      id_ = std::exchange(other.id_, H5I_INVALID_HID);
      close_ = other.close_;
    }
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { close(); }
  hid_t id() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now and says whether that succeeded: what is still buffered is written only here.
  bool close() {
    if (id_ < 0) return true;
    return close_(std::exchange(id_, H5I_INVALID_HID)) >= 0;
  }

 private:
  hid_t id_ = H5I_INVALID_HID;
  herr_t (*close_)(hid_t) = nullptr;
};

/// Keeps HDF5 from printing its error stack to stderr while it lives (this thread's setting), and from
/// loading filter plugins for good. Every public function makes one before its first call of HDF5.
class QuietErrors {
 public:
  QuietErrors();
  ~QuietErrors();
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// The context of a failed call: the kind of error and the file that its message starts with.
struct Context {
  ErrorKind kind = ErrorKind::kInput;
  std::filesystem::path path;

  /// Throws Error(kind) "path: message".
  [[noreturn]] void fail(const std::string& message) const;
  /// The same with HDF5's own text after it.
  [[noreturn]] void fail_with_cause(const std::string& message) const;
  /// Throws unless `status` says success (>= 0); `what` names the operation.
  void check(std::int64_t status, const std::string& what) const {
    if (status < 0) fail_with_cause(what);
  }
  /// An owned handle; throws when `id` is not one.
  Handle own(hid_t id, herr_t (*close)(hid_t), const std::string& what) const {
    check(id, what);
    return {id, close};
  }
};

/// IEEE float16, little-endian. HDF5 1.10 has no such predefined type.
Handle float16_type(const Context& context);

/// Attributes with one value. The reading functions throw naming the attribute when it is missing or is of
/// another type or shape; strings are of fixed length, in UTF-8 and at most `max_bytes` long.
void write_integer_attribute(const Context& context, hid_t object, const char* name, std::int64_t value);
void write_string_attribute(const Context& context, hid_t object, const char* name, const std::string& value);
std::int64_t read_integer_attribute(const Context& context, hid_t object, const char* name);
std::string read_string_attribute(const Context& context, hid_t object, const char* name,
                                  std::uint64_t max_bytes);

}  // namespace foresight::hdf5
