#include "data/hdf5_handles.h"

#include <algorithm>
#include <vector>

#include "trainer/base/text.h"

namespace foresight::hdf5 {
namespace {

constexpr std::size_t kMaxCauseBytes = 400;

herr_t collect_description(unsigned, const H5E_error2_t* entry, void* descriptions) {
  if (entry->desc != nullptr && *entry->desc != '\0') {
    static_cast<std::vector<std::string>*>(descriptions)->emplace_back(entry->desc);
  }
  return 0;
}

/// HDF5's error stack on one line: the failure of the outermost call, and the innermost cause.
std::string error_text() {
  std::vector<std::string> descriptions;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect_description, &descriptions);
  if (descriptions.empty()) return "no cause given";
  std::string text = descriptions.back();
  if (descriptions.size() > 1) text += ": " + descriptions.front();
  return one_line(text, kMaxCauseBytes);
}

Handle fixed_string_type(const Context& context, std::size_t bytes, const std::string& what) {
  Handle type = context.own(H5Tcopy(H5T_C_S1), H5Tclose, what);
  // HDF5 has no string type of zero bytes: an empty string is one NUL.
  context.check(H5Tset_size(type.id(), std::max<std::size_t>(bytes, 1)), what);
  context.check(H5Tset_strpad(type.id(), H5T_STR_NULLPAD), what);
  context.check(H5Tset_cset(type.id(), H5T_CSET_UTF8), what);
  return type;
}

void write_attribute(const Context& context, hid_t object, const char* name, hid_t type, const void* value,
                     const std::string& what) {
  const Handle space = context.own(H5Screate(H5S_SCALAR), H5Sclose, what);
  Handle attribute =
      context.own(H5Acreate2(object, name, type, space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose, what);
  context.check(H5Awrite(attribute.id(), type, value), what);
  if (!attribute.close()) context.fail_with_cause(what);
}

Handle open_scalar_attribute(const Context& context, hid_t object, const char* name,
                             const std::string& what) {
  const htri_t exists = H5Aexists(object, name);
  context.check(exists, what);
  if (exists == 0)
    context.fail(concat("attribute ", name, " is missing; the file is not a complete oracle file"));
  Handle attribute = context.own(H5Aopen(object, name, H5P_DEFAULT), H5Aclose, what);
  const Handle space = context.own(H5Aget_space(attribute.id()), H5Sclose, what);
  if (H5Sget_simple_extent_type(space.id()) != H5S_SCALAR) {
    context.fail(concat("attribute ", name, ": expected one value"));
  }
  return attribute;
}

}  // namespace

QuietErrors::QuietErrors() {
  // Handles close everything. The library's own clean-up at the end of the process could fail on the remains
  // of a damaged file, and print errors. Only the first call, before any other, has an effect.
  [[maybe_unused]] static const herr_t kNoClearingUp = H5dont_atexit();
  // A file must not choose the code that reads it.
  [[maybe_unused]] static const herr_t kNoPlugins = H5PLset_loading_state(0);
  H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

QuietErrors::~QuietErrors() {
  H5Eset_auto2(H5E_DEFAULT, function_, data_);
}

void Context::fail(const std::string& message) const {
  throw Error(kind, concat(path.string(), ": ", message));
}

void Context::fail_with_cause(const std::string& message) const {
  fail(concat(message, ": HDF5: ", error_text()));
}

Handle float16_type(const Context& context) {
  const std::string what = "cannot make the float16 type";
  Handle type = context.own(H5Tcopy(H5T_IEEE_F32LE), H5Tclose, what);
  // binary16 of IEEE 754: sign bit 15, 5 bits of exponent from bit 10 with bias 15, 10 bits of mantissa.
  context.check(H5Tset_fields(type.id(), 15, 10, 5, 0, 10), what);
  context.check(H5Tset_size(type.id(), 2), what);
  context.check(H5Tset_ebias(type.id(), 15), what);
  return type;
}

void write_integer_attribute(const Context& context, hid_t object, const char* name, std::int64_t value) {
  write_attribute(context, object, name, H5T_STD_I64LE, &value, concat("cannot write attribute ", name));
}

void write_string_attribute(const Context& context, hid_t object, const char* name,
                            const std::string& value) {
  const std::string what = concat("cannot write attribute ", name);
  const Handle type = fixed_string_type(context, value.size(), what);
  write_attribute(context, object, name, type.id(), value.c_str(), what);
}

std::int64_t read_integer_attribute(const Context& context, hid_t object, const char* name) {
  const std::string what = concat("cannot read attribute ", name);
  const Handle attribute = open_scalar_attribute(context, object, name, what);
  const Handle type = context.own(H5Aget_type(attribute.id()), H5Tclose, what);
  const htri_t same = H5Tequal(type.id(), H5T_STD_I64LE);
  context.check(same, what);
  if (same == 0) context.fail(concat("attribute ", name, ": expected a 64-bit integer"));
  std::int64_t value = 0;
  context.check(H5Aread(attribute.id(), H5T_STD_I64LE, &value), what);
  return value;
}

std::string read_string_attribute(const Context& context, hid_t object, const char* name,
                                  std::uint64_t max_bytes) {
  const std::string what = concat("cannot read attribute ", name);
  const Handle attribute = open_scalar_attribute(context, object, name, what);
  const Handle type = context.own(H5Aget_type(attribute.id()), H5Tclose, what);
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0) {
    context.fail(concat("attribute ", name, ": expected a string of fixed length"));
  }
  const std::size_t bytes = H5Tget_size(type.id());
  if (bytes == 0 || bytes > max_bytes) {
    context.fail(concat("attribute ", name, ": string of ", bytes, " bytes, expected 1 to ", max_bytes));
  }
  std::string value(bytes, '\0');
  // Read as it is, whatever its padding, because a conversion could hide a difference.
  context.check(H5Aread(attribute.id(), type.id(), value.data()), what);
  value.resize(std::min(value.find('\0'), value.size()));
  return value;
}

}  // namespace foresight::hdf5
