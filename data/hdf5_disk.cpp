#include "data/hdf5_disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <new>

namespace foresight::hdf5 {
namespace {

/// What the access list passes to open_file.
struct DriverInfo {
  DiskFault* fault;
};

/// HDF5 hands out pointers to the first member.
struct DiskFile {
  H5FD_t base;
  int descriptor;
  haddr_t end_of_allocation;
  haddr_t end_of_file;
  DiskFault* fault;
};

DiskFile& disk_file(H5FD_t* file) {
  return *reinterpret_cast<DiskFile*>(file);
}
const DiskFile& disk_file(const H5FD_t* file) {
  return *reinterpret_cast<const DiskFile*>(file);
}

H5FD_t* open_file(const char* name, unsigned flags, hid_t access, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access));
  // Before it creates a file, HDF5 tries to open it without these flags.
  const int mode =
      ((flags & H5F_ACC_RDWR) != 0U ? O_RDWR : O_RDONLY) | ((flags & H5F_ACC_CREAT) != 0U ? O_CREAT : 0) |
      ((flags & H5F_ACC_TRUNC) != 0U ? O_TRUNC : 0) | ((flags & H5F_ACC_EXCL) != 0U ? O_EXCL : 0);
  if (info == nullptr) return nullptr;
  const int descriptor = ::open(name, mode | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    if ((flags & H5F_ACC_CREAT) != 0U) info->fault->error_number = errno;
    return nullptr;
  }
  const off_t size = ::lseek(descriptor, 0, SEEK_END);
  auto* file = new (std::nothrow) DiskFile{};
  if (size < 0 || file == nullptr) {
    info->fault->error_number = size < 0 ? errno : ENOMEM;
    ::close(descriptor);
    delete file;
    return nullptr;
  }
  file->descriptor = descriptor;
  file->end_of_file = static_cast<haddr_t>(size);
  file->fault = info->fault;
  return &file->base;
}

/// Stores the fault unless there was one before.
void note(const DiskFile& file, int error_number) {
  if (file.fault->error_number == 0) file.fault->error_number = error_number;
}

herr_t close_file(H5FD_t* base) {
  const DiskFile* file = &disk_file(base);
  // Network file systems report a full disk only here.
  if (::close(file->descriptor) != 0) note(*file, errno);
  delete file;
  return 0;
}

herr_t query_features(const H5FD_t*, unsigned long* features) {
  if (features != nullptr) {
    *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_AGGREGATE_SMALLDATA |
                H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  }
  return 0;
}

haddr_t get_end_of_allocation(const H5FD_t* file, H5FD_mem_t) {
  return disk_file(file).end_of_allocation;
}

herr_t set_end_of_allocation(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  disk_file(file).end_of_allocation = address;
  return 0;
}

haddr_t get_end_of_file(const H5FD_t* file, H5FD_mem_t) {
  return disk_file(file).end_of_file;
}

herr_t read_bytes(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, std::size_t size, void* buffer) {
  const DiskFile& file = disk_file(base);
  auto* target = static_cast<char*>(buffer);
  while (size > 0) {
    const ssize_t got = ::pread(file.descriptor, target, size, static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) {  // allocated, but not written yet
      std::memset(target, 0, size);
      return 0;
    }
    target += got;
    address += static_cast<haddr_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return 0;
}

herr_t write_bytes(H5FD_t* base, H5FD_mem_t, hid_t, haddr_t address, std::size_t size, const void* buffer) {
  DiskFile& file = disk_file(base);
  const auto* source = static_cast<const char*>(buffer);
  file.end_of_file = std::max(file.end_of_file, address + size);
  while (size > 0 && file.fault->error_number == 0) {
    const ssize_t written = ::pwrite(file.descriptor, source, size, static_cast<off_t>(address));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      note(file, errno);
      break;
    }
    source += written;
    address += static_cast<haddr_t>(written);
    size -= static_cast<std::size_t>(written);
  }
  return 0;
}

herr_t truncate_file(H5FD_t* base, hid_t, hbool_t) {
  DiskFile& file = disk_file(base);
  if (file.end_of_allocation == file.end_of_file) return 0;
  if (file.fault->error_number == 0 &&
      ::ftruncate(file.descriptor, static_cast<off_t>(file.end_of_allocation)) != 0) {
    note(file, errno);
  }
  file.end_of_file = file.end_of_allocation;
  return 0;
}

const H5FD_class_t kDiskDriver = {
    .name = "foresight_disk",
    .maxaddr = static_cast<haddr_t>(std::numeric_limits<off_t>::max()),
    .fc_degree = H5F_CLOSE_STRONG,
    .terminate = nullptr,
    .sb_size = nullptr,
    .sb_encode = nullptr,
    .sb_decode = nullptr,
    .fapl_size = sizeof(DriverInfo),
    .fapl_get = nullptr,
    .fapl_copy = nullptr,
    .fapl_free = nullptr,
    .dxpl_size = 0,
    .dxpl_copy = nullptr,
    .dxpl_free = nullptr,
    .open = open_file,
    .close = close_file,
    .cmp = nullptr,
    .query = query_features,
    .get_type_map = nullptr,
    .alloc = nullptr,
    .free = nullptr,
    .get_eoa = get_end_of_allocation,
    .set_eoa = set_end_of_allocation,
    .get_eof = get_end_of_file,
    .get_handle = nullptr,
    .read = read_bytes,
    .write = write_bytes,
    .flush = nullptr,
    .truncate = truncate_file,
    .lock = nullptr,
    .unlock = nullptr,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

}  // namespace

Handle register_disk_driver(const Context& context) {
  return context.own(H5FDregister(&kDiskDriver), H5FDunregister, "cannot register the file driver");
}

void use_disk_driver(const Context& context, hid_t access, const Handle& driver, DiskFault& fault) {
  const DriverInfo info = {&fault};
  context.check(H5Pset_driver(access, driver.id(), &info), "cannot choose the file driver");
}

}  // namespace foresight::hdf5
