// A way to write HDF5 files on disks that fail. Private to data/oracle_writer.cpp.
#pragma once

#include <string>

#include "data/hdf5_handles.h"

namespace foresight::hdf5 {

/// The first fault of a file's disk; 0 while there is none. It must outlive the file.
struct DiskFault {
  int error_number = 0;
};

/// An HDF5 file driver over a POSIX file that keeps faults to itself: after the first failed write it writes
/// nothing more, notes the cause in the file's DiskFault and tells HDF5 that all is well. HDF5 1.10 itself
/// cannot survive a full disk: where H5Fclose fails, the library crashes when the process ends.
/// The caller looks at the fault after every step and gives the file up. Throws Error of the context's kind.
Handle register_disk_driver(const Context& context);

/// Makes files of the access list `access` be written through `driver`, with their faults noted in `fault`.
void use_disk_driver(const Context& context, hid_t access, const Handle& driver, DiskFault& fault);

}  // namespace foresight::hdf5
