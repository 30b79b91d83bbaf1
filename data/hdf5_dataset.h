// A dataset of a file that others may have made: opened with everything about it checked. Private to
// data/oracle_*.cpp, as hdf5_handles.h is.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/hdf5_handles.h"

namespace foresight::hdf5 {

/// A dataset as the schema requires it.
struct ExpectedDataset {
  std::string name;
  hid_t type;
  std::uint64_t element_bytes;
  std::vector<hsize_t> shape;
  std::uint64_t bytes() const {
    std::uint64_t product = element_bytes;
    for (const hsize_t size : shape) product *= size;  // within int64 by the limits of the dimensions
    return product;
  }
};

/// Opens the dataset of `parent` and checks its layout, type, shape, chunks and filters, before HDF5
/// allocates anything for it; `file_bytes` limits the size that it may claim. Throws the context's error.
Handle open_dataset(const Context& context, hid_t parent, const ExpectedDataset& expected,
                    std::uint64_t file_bytes);

/// What a failed read of the dataset says.
std::string unreadable(const std::string& dataset);

/// `count` rows and columns of an open dataset of 16-bit numbers, from `start` on. Throws the context's
/// error.
std::vector<std::uint16_t> read_part(const Context& context, const Handle& dataset,
                                     const ExpectedDataset& expected, const std::array<hsize_t, 2>& start,
                                     const std::array<hsize_t, 2>& count);

}  // namespace foresight::hdf5
