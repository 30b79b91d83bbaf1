#include "data/hdf5_dataset.h"

#include "trainer/base/text.h"

namespace foresight::hdf5 {
namespace {

constexpr std::uint64_t kMaxChunkBytes = std::uint64_t{1} << 24;
constexpr std::uint64_t kMaxInflation = 1000;  // deflate reaches at most 1032

void require_shape(const Context& context, hid_t dataset, const ExpectedDataset& expected,
                   const std::string& what) {
  const Handle type = context.own(H5Dget_type(dataset), H5Tclose, what);
  const htri_t same = H5Tequal(type.id(), expected.type);
  context.check(same, what);
  if (same == 0) {
    context.fail(concat("dataset ", expected.name, ": another type than expected (", expected.element_bytes,
                        " bytes an element, see docs/hdf5_format.md)"));
  }
  const Handle space = context.own(H5Dget_space(dataset), H5Sclose, what);
  const int rank = H5Sget_simple_extent_ndims(space.id());
  context.check(rank, what);
  std::vector<hsize_t> shape(static_cast<std::size_t>(rank));
  context.check(H5Sget_simple_extent_dims(space.id(), shape.data(), nullptr), what);
  if (H5Sget_simple_extent_type(space.id()) != H5S_SIMPLE || shape != expected.shape) {
    context.fail(concat("dataset ", expected.name, ": shape [", join(shape, ", "), "], expected [",
                        join(expected.shape, ", "), "]"));
  }
}

/// How the dataset is stored, which must be in chunks of this file. This is checked first, because HDF5 looks
/// up even the shape of a virtual dataset in other files.
Handle require_chunked(const Context& context, hid_t dataset, const ExpectedDataset& expected,
                       const std::string& what) {
  Handle storage = context.own(H5Dget_create_plist(dataset), H5Pclose, what);
  if (H5Pget_layout(storage.id()) != H5D_CHUNKED) {
    context.fail(concat("dataset ", expected.name, ": virtual, external or not chunked; expected chunks"));
  }
  return storage;
}

/// Chunks of a sane size, no larger than the data; the dataset's shape was checked.
void require_small_chunks(const Context& context, hid_t storage, const ExpectedDataset& expected,
                          const std::string& what) {
  std::vector<hsize_t> chunk(expected.shape.size());
  context.check(H5Pget_chunk(storage, static_cast<int>(chunk.size()), chunk.data()), what);
  std::uint64_t chunk_bytes = expected.element_bytes;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    const hsize_t size = chunk[i];
    if (size == 0 || size > kMaxChunkBytes || chunk_bytes * size > kMaxChunkBytes ||
        size > expected.shape[i]) {
      context.fail(concat("dataset ", expected.name, ": chunks [", join(chunk, ", "), "] hold more than ",
                          kMaxChunkBytes, " bytes or than the data"));
    }
    chunk_bytes *= size;
  }
}

/// Only filters that this program knows; true when deflated.
bool require_known_filters(const Context& context, const Handle& storage, const ExpectedDataset& expected,
                           const std::string& what) {
  bool deflated = false;
  const int filters = H5Pget_nfilters(storage.id());
  context.check(filters, what);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    const H5Z_filter_t filter =
        H5Pget_filter2(storage.id(), static_cast<unsigned>(i), &flags, &values, nullptr, 0, nullptr, nullptr);
    context.check(filter, what);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32) {
      context.fail(concat("dataset ", expected.name, ": unknown filter ", filter,
                          "; expected deflate, shuffle and Fletcher32 only"));
    }
    deflated = deflated || filter == H5Z_FILTER_DEFLATE;
  }
  return deflated;
}

}  // namespace

Handle open_dataset(const Context& context, hid_t parent, const ExpectedDataset& expected,
                    std::uint64_t file_bytes) {
  const std::string what = concat("cannot read dataset ", expected.name);
  const Handle object = context.own(H5Oopen(parent, expected.name.c_str(), H5P_DEFAULT), H5Oclose, what);
  if (H5Iget_type(object.id()) != H5I_DATASET) {
    context.fail(concat(expected.name, ": expected a dataset"));
  }
  Handle dataset = context.own(H5Dopen2(parent, expected.name.c_str(), H5P_DEFAULT), H5Dclose, what);
  const Handle storage = require_chunked(context, dataset.id(), expected, what);
  require_shape(context, dataset.id(), expected, what);
  require_small_chunks(context, storage.id(), expected, what);
  const bool deflated = require_known_filters(context, storage, expected, what);
  // H5Dget_storage_size returns 0 for an empty dataset and for a failure; the digest detects both.
  const std::uint64_t stored = H5Dget_storage_size(dataset.id());
  const std::uint64_t most = deflated ? kMaxInflation * file_bytes : file_bytes;
  if (stored > file_bytes || expected.bytes() > most) {
    context.fail(concat("dataset ", expected.name, ": claims ", expected.bytes(), " bytes (", stored,
                        " stored), more than a file of ", file_bytes, " bytes can hold"));
  }
  return dataset;
}

std::string unreadable(const std::string& dataset) {
  return concat("cannot read dataset ", dataset, "; the file is damaged, record the trace again");
}

std::vector<std::uint16_t> read_part(const Context& context, const Handle& dataset,
                                     const ExpectedDataset& expected, const std::array<hsize_t, 2>& start,
                                     const std::array<hsize_t, 2>& count) {
  const std::string what = unreadable(expected.name);
  const Handle in_file = context.own(H5Dget_space(dataset.id()), H5Sclose, what);
  context.check(
      H5Sselect_hyperslab(in_file.id(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr), what);
  const Handle in_memory = context.own(H5Screate_simple(2, count.data(), nullptr), H5Sclose, what);
  std::vector<std::uint16_t> bits(static_cast<std::size_t>(count[0] * count[1]));
  context.check(H5Dread(dataset.id(), expected.type, in_memory.id(), in_file.id(), H5P_DEFAULT, bits.data()),
                what);
  return bits;
}

}  // namespace foresight::hdf5
