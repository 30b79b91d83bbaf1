#include <algorithm>
#include <system_error>

#include "data/hdf5_disk.h"
#include "data/hdf5_handles.h"
#include "data/oracle_file.h"
#include "data/oracle_layout.h"
#include "trainer/base/divide_up.h"
#include "trainer/base/files.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/progress.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using hdf5::Context;
using hdf5::Handle;

constexpr std::int64_t kChunkBytes = std::int64_t{1} << 20;

/// The length of chunks of at most `most` elements, as few and as equal as possible: the disk holds a shorter
/// last chunk with padding, so equal ones waste least.
std::int64_t balanced_chunk(std::int64_t elements, std::int64_t most) {
  return divide_up(elements, divide_up(elements, std::max<std::int64_t>(most, 1)));
}

void require_fit(const fs::path& path, OracleDimensions dimensions, OracleProvenance provenance,
                 OracleTrace trace, int compression) {
  const auto require = [&path](bool holds, const std::string& message) {
    if (!holds) throw Error(ErrorKind::kInternal, concat("cannot write ", path.string(), ": ", message));
  };
  for (const NamedInteger& integer : named_integers(dimensions)) {
    require(*integer.value >= 1 && *integer.value <= integer.largest,
            concat(integer.name, " is ", *integer.value, ", expected 1 to ", integer.largest));
  }
  require(dimensions.numbers.empty() || is_layer_list(dimensions.numbers, dimensions.layers),
          concat("layer numbers are ", join(dimensions.numbers, " "), ", expected ", dimensions.layers,
                 " ascending ones below ", kMaxLayers));
  const auto tokens = static_cast<std::size_t>(dimensions.tokens);
  const auto require_length = [&](const char* name, std::size_t length) {
    require(length == tokens, concat(name, " has ", length, " values, expected tokens = ", tokens));
  };
  require_length("token_ids", trace.token_ids.size());
  require_length("loss", trace.loss.size());
  require_length("entropy", trace.entropy.size());
  require_length("completion", trace.completion.size());
  for (const NamedText& text : named_texts(provenance, trace)) {
    require(text.value->find('\0') == std::string::npos && text.value->size() <= kMaxStringBytes,
            concat(text.name, " holds a NUL or more than ", kMaxStringBytes, " bytes"));
  }
  require(compression >= 0 && compression <= 9, concat("compression is ", compression, ", expected 0 to 9"));
}

void require_space(const fs::path& path, const OracleDimensions& dimensions) {
  const std::uint64_t needed =
      static_cast<std::uint64_t>(dimensions.kv_heads * dimensions.packed_elements()) * sizeof(std::uint16_t) *
      static_cast<std::uint64_t>(dimensions.layers);
  const std::uint64_t available = free_disk_bytes(path);
  if (needed <= available) return;
  throw Error(ErrorKind::kResource,
              concat("cannot write ", path.string(), ": it needs ", format_bytes(needed), ", but only ",
                     format_bytes(available), " are free; free disk space and run again"));
}

/// A new file in the newest format of HDF5 1.10, whose metadata have checksums, without time stamps.
Handle create_file(const Context& context, const fs::path& staging, const Handle& driver,
                   hdf5::DiskFault& fault) {
  const std::string what = "cannot create the file";
  const Handle access = context.own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, what);
  context.check(H5Pset_libver_bounds(access.id(), H5F_LIBVER_V110, H5F_LIBVER_V110), what);
  context.check(H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG), what);
  hdf5::use_disk_driver(context, access.id(), driver, fault);
  const Handle creation = context.own(H5Pcreate(H5P_FILE_CREATE), H5Pclose, what);
  context.check(H5Pset_obj_track_times(creation.id(), false), what);
  return context.own(H5Fcreate(staging.c_str(), H5F_ACC_TRUNC, creation.id(), access.id()), H5Fclose, what);
}

/// How a dataset of one or two dimensions is stored: chunks of about 1 MiB, each with its checksum.
Handle storage_of(const Context& context, const std::vector<hsize_t>& shape, std::size_t element_bytes,
                  int compression, const std::string& what) {
  Handle storage = context.own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, what);
  const std::int64_t chunk_elements = kChunkBytes / static_cast<std::int64_t>(element_bytes);
  const auto columns = static_cast<std::int64_t>(shape.back());
  std::vector<hsize_t> chunk(shape);
  chunk.back() = static_cast<hsize_t>(balanced_chunk(columns, chunk_elements));
  if (shape.size() == 2) {
    const auto rows = static_cast<std::int64_t>(shape.front());
    chunk.front() = static_cast<hsize_t>(balanced_chunk(rows, chunk_elements / columns));
  }
  context.check(H5Pset_chunk(storage.id(), static_cast<int>(chunk.size()), chunk.data()), what);
  if (compression > 0) {
    context.check(H5Pset_shuffle(storage.id()), what);
    context.check(H5Pset_deflate(storage.id(), static_cast<unsigned>(compression)), what);
  }
  context.check(H5Pset_fletcher32(storage.id()), what);
  context.check(H5Pset_fill_time(storage.id(), H5D_FILL_TIME_ALLOC), what);  // no stale memory in padding
  context.check(H5Pset_obj_track_times(storage.id(), false), what);
  return storage;
}

struct DatasetToWrite {
  std::string name;
  hid_t type;
  std::size_t element_bytes;
  std::vector<hsize_t> shape;
  const void* data;
  std::string sha256;  ///< stored as an attribute unless empty
};

void write_dataset(const Context& context, hid_t parent, const DatasetToWrite& dataset, int compression) {
  const std::string what = concat("cannot write dataset ", dataset.name);
  const Handle space =
      context.own(H5Screate_simple(static_cast<int>(dataset.shape.size()), dataset.shape.data(), nullptr),
                  H5Sclose, what);
  const Handle storage = storage_of(context, dataset.shape, dataset.element_bytes, compression, what);
  // Without a chunk cache every chunk is written at once, so that a full disk is detected here.
  const Handle access = context.own(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose, what);
  context.check(H5Pset_chunk_cache(access.id(), 1, 0, 0.0), what);
  Handle handle = context.own(H5Dcreate2(parent, dataset.name.c_str(), dataset.type, space.id(), H5P_DEFAULT,
                                         storage.id(), access.id()),
                              H5Dclose, what);
  context.check(H5Dwrite(handle.id(), dataset.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, dataset.data), what);
  if (!dataset.sha256.empty()) {
    hdf5::write_string_attribute(context, handle.id(), kLayerDigestAttribute, dataset.sha256);
  }
  if (!handle.close()) context.fail_with_cause(what);
}

}  // namespace

void require_readable_oracle(const fs::path& path, const fs::path& staging, std::int64_t layers) {
  try {
    const OracleReader reader(staging);
    for (std::int64_t layer = 0; layer < layers; ++layer) reader.open_layer(layer);
  } catch (const Error& fault) {
    throw Error(ErrorKind::kResource,
                concat("cannot write ", path.string(), ": it does not read back as written (", fault.what(),
                       "); check the disk and run again"));
  }
}

struct OracleWriter::State {
  Context context;
  fs::path path, staging;
  OracleDimensions dimensions;
  OracleProvenance provenance;
  OracleTrace trace;
  int compression;
  std::vector<std::string> layer_digests;  ///< empty where the layer was not written yet
  hdf5::DiskFault fault;
  Handle driver, file, attention;
  bool published = false;

  /// Throws the disk's first fault, which HDF5 does not see (data/hdf5_disk.h).
  void require_disk() const {
    if (fault.error_number == 0) return;
    context.fail(concat("cannot write: ", std::generic_category().message(fault.error_number),
                        "; free disk space or check the folder, and run again"));
  }

  void create();
  void write_all_but_layers();

  ~State() {
    if (published) return;
    const hdf5::QuietErrors quiet;
    attention.close();
    file.close();
    std::error_code ignored;
    fs::remove(staging, ignored);
  }
};

void OracleWriter::State::create() {
  driver = hdf5::register_disk_driver(context);
  try {
    file = create_file(context, staging, driver, fault);
  } catch (const Error&) {
    require_disk();
    throw;
  }
}

void OracleWriter::State::write_all_but_layers() {
  hdf5::write_integer_attribute(context, file.id(), kVersionAttribute, dimensions.schema_version());
  for (const NamedInteger& integer : named_integers(dimensions)) {
    hdf5::write_integer_attribute(context, file.id(), integer.name, *integer.value);
  }
  if (!dimensions.numbers.empty()) {
    hdf5::write_string_attribute(context, file.id(), kLayersAttribute, join(dimensions.numbers, " "));
  }
  for (const NamedText& text : named_texts(provenance, trace)) {
    hdf5::write_string_attribute(context, file.id(), text.name, *text.value);
  }
  for (const TokenDataset& tokens : token_datasets(trace)) {
    write_dataset(context, file.id(),
                  {tokens.name,
                   tokens.type,
                   tokens.element_bytes,
                   {static_cast<hsize_t>(dimensions.tokens)},
                   tokens.data,
                   ""},
                  compression);
  }
  const std::string what = concat("cannot create group ", kOracleAttentionGroup);
  const Handle creation = context.own(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, what);
  context.check(H5Pset_obj_track_times(creation.id(), false), what);
  attention = context.own(
      H5Gcreate2(file.id(), kOracleAttentionGroup, H5P_DEFAULT, creation.id(), H5P_DEFAULT), H5Gclose, what);
  require_disk();
}

OracleWriter::OracleWriter(const fs::path& path, const OracleDimensions& dimensions,
                           const OracleProvenance& provenance, const OracleTrace& trace, int compression) {
  const hdf5::QuietErrors quiet;
  require_fit(path, dimensions, provenance, trace, compression);
  if (compression == 0) require_space(path, dimensions);
  const Context context{ErrorKind::kResource, path};
  if (path.has_parent_path()) create_folders(path.parent_path());

  state_.reset(new State{
      context, path, staging_path(path), dimensions, provenance, trace, compression, {}, {}, {}, {}, {}});
  state_->layer_digests.resize(static_cast<std::size_t>(dimensions.layers));
  state_->create();
  state_->write_all_but_layers();
}

OracleWriter::~OracleWriter() = default;

void OracleWriter::write_layer(std::int64_t layer, std::span<const std::uint16_t> attention) {
  const hdf5::QuietErrors quiet;
  State& state = *state_;
  const OracleDimensions& dimensions = state.dimensions;
  const auto fail = [&](const std::string& message) {
    throw Error(ErrorKind::kInternal,
                concat("cannot write ", state.path.string(), ": layer ", layer, message));
  };
  if (layer < 0 || layer >= dimensions.layers) fail(concat(" of ", dimensions.layers));
  std::string& digest = state.layer_digests[static_cast<std::size_t>(layer)];
  if (!digest.empty() || !state.attention.valid()) fail(" was written already");
  const auto elements = static_cast<std::size_t>(dimensions.kv_heads * dimensions.packed_elements());
  if (attention.size() != elements) {
    fail(concat(" has ", attention.size(), " values, expected kv_heads x packed_elements = ", elements));
  }
  heartbeat();
  const std::string sha256 =
      sha256_hex({reinterpret_cast<const char*>(attention.data()), attention.size_bytes()});
  const Handle type = hdf5::float16_type(state.context);
  write_dataset(
      state.context, state.attention.id(),
      {oracle_layer_name(dimensions.number(layer)),
       type.id(),
       sizeof(std::uint16_t),
       {static_cast<hsize_t>(dimensions.kv_heads), static_cast<hsize_t>(dimensions.packed_elements())},
       attention.data(),
       sha256},
      state.compression);
  digest = sha256;
}

void OracleWriter::finish() {
  const hdf5::QuietErrors quiet;
  State& state = *state_;
  for (std::size_t layer = 0; layer < state.layer_digests.size(); ++layer) {
    if (!state.layer_digests[layer].empty()) continue;
    throw Error(ErrorKind::kInternal,
                concat("cannot finish ", state.path.string(), ": layer ", layer, " was not written"));
  }
  if (!state.file.valid()) {
    throw Error(ErrorKind::kInternal,
                concat("cannot finish ", state.path.string(), ": it is closed already"));
  }
  hdf5::write_string_attribute(
      state.context, state.file.id(), kDigestAttribute,
      oracle_digest(state.dimensions, state.provenance, state.trace, state.layer_digests));
  const std::string what = "cannot write the file";
  state.context.check(H5Fflush(state.file.id(), H5F_SCOPE_GLOBAL), what);
  const bool closed = state.attention.close() && state.file.close();
  state.require_disk();
  if (!closed) state.context.fail_with_cause(what);
  require_readable_oracle(state.path, state.staging, state.dimensions.layers);
  publish(state.staging, state.path);
  state.published = true;
}

}  // namespace foresight
