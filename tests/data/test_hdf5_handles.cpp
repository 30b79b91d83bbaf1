// Faults of HDF5 itself, and attributes that no schema of ours writes.
#include "tests/base/temporary_folder.h"
#include "tests/data/support.h"
// They are private to data/, but their errors are tested here.
#include "data/hdf5_disk.h"
#include "data/hdf5_handles.h"
#include "data/oracle_file.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

TEST_CASE("hdf5: a text attribute longer than it may be is refused before it is read") {
  const TemporaryFolder folder;
  const hdf5::QuietErrors quiet;
  const hdf5::Context context{.kind = ErrorKind::kInput, .path = folder / "long.h5"};
  const hdf5::Handle file = context.own(
      H5Fcreate(context.path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose, "cannot create");
  hdf5::write_string_attribute(context, file.id(), "name", std::string(100, 'x'));
  CHECK(hdf5::read_string_attribute(context, file.id(), "name", 100) == std::string(100, 'x'));
  CHECK_THAT(
      error_of(ErrorKind::kInput, [&] { hdf5::read_string_attribute(context, file.id(), "name", 99); }),
      Contains("long.h5: attribute name: string of 100 bytes, expected 1 to 99"));
}

TEST_CASE("hdf5: a file of another program is refused as one") {
  const TemporaryFolder folder;
  const fs::path path = folder / "other.h5";
  {
    const hdf5::Context context{.kind = ErrorKind::kInput, .path = path};
    const hdf5::Handle access = context.own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "no list");
    context.check(H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), "no bounds");
    context.own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id()), H5Fclose, "cannot create");
  }
  CHECK_THAT(error_of(ErrorKind::kInput, [&] { const OracleReader reader(path); }),
             Contains("other.h5: an HDF5 file, but not an oracle file"));
}

TEST_CASE("hdf5: a file driver that HDF5 refuses is an error with the file's name") {
  const hdf5::QuietErrors quiet;
  const hdf5::Context context{.kind = ErrorKind::kResource, .path = "trace.h5"};
  const hdf5::Handle driver = hdf5::register_disk_driver(context);
  hdf5::DiskFault fault;
  CHECK_THAT(
      error_of(ErrorKind::kResource, [&] { hdf5::use_disk_driver(context, H5I_INVALID_HID, driver, fault); }),
      Contains("trace.h5: cannot choose the file driver"));
}

}  // namespace
}  // namespace foresight
