// A way to write HDF5 files on disks that fail. Private to data/oracle_writer.cpp.
#pragma once

#include <string>

#include "data/hdf5_handles.h"

namespace foresight::hdf5 {

/// The first fault of a file's disk; 0 while there is none. It must outlive the file.
struct DiskFault {
  int error_number = 0;
};

/// An HDF5 file driver over a POSIX file that hides faults from HDF5: after the first failed write it writes
/// nothing more, stores the cause in the file's DiskFault and reports success to HDF5. HDF5 1.10 cannot
/// survive a full disk: if H5Fclose fails, the library crashes when the process ends. The caller checks the
/// fault after every step and discards the file. Throws Error of the context's kind.
Handle register_disk_driver(const Context& context);

/// Makes HDF5 write files of the access list `access` through `driver`, which stores their faults in `fault`.
void use_disk_driver(const Context& context, hid_t access, const Handle& driver, DiskFault& fault);

}  // namespace foresight::hdf5
