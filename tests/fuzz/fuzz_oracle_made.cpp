// Oracle files that HDF5 itself writes, with every part as the schema requires it or as something else: other
// types, shapes, sizes, filters, storage, links. The input says which.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "data/hdf5_handles.h"
#include "data/oracle_file.h"
#include "data/oracle_layout.h"
#include "tests/fuzz/harness.h"
#include "trainer/base/files.h"

namespace foresight::fuzz {
namespace {

using hdf5::Handle;

/// Takes decisions from the input; after its end the first one, which means "as the schema requires it".
class Choices {
 public:
  explicit Choices(std::string_view bytes) : bytes_(bytes) {}
  std::size_t below(std::size_t bound) {
    if (bytes_.empty()) return 0;
    const auto byte = static_cast<unsigned char>(bytes_.front());
    bytes_.remove_prefix(1);
    return byte % bound;
  }
  template <class Value, std::size_t kCount>
  Value one_of(const std::array<Value, kCount>& values) {
    return values[below(kCount)];
  }

 private:
  std::string_view bytes_;
};

const hdf5::Context& context() {
  static const hdf5::Context kContext{ErrorKind::kInternal, work_folder() / "made.h5"};
  return kContext;
}

Handle own(hid_t id, herr_t (*close)(hid_t)) {
  return {id, close};
}

/// A type of attributes and datasets; `right` is the first choice.
Handle some_type(Choices& choices, hid_t right) {
  switch (choices.below(8)) {
    case 1:
      return own(H5Tcopy(H5T_IEEE_F64BE), H5Tclose);
    case 2:
      return own(H5Tcopy(H5T_STD_I64LE), H5Tclose);
    case 3: {
      Handle text = own(H5Tcopy(H5T_C_S1), H5Tclose);
      H5Tset_size(text.id(), choices.one_of<std::size_t, 4>({1, 64, 4096, H5T_VARIABLE}));
      return text;
    }
    case 4: {
      Handle pair = own(H5Tcreate(H5T_COMPOUND, 16), H5Tclose);
      H5Tinsert(pair.id(), "a", 8, right);
      return pair;
    }
    case 5:
      return own(H5Tvlen_create(H5T_STD_I32LE), H5Tclose);
    case 6: {
      const hsize_t sizes[] = {1000};
      return own(H5Tarray_create2(right, 1, sizes), H5Tclose);
    }
    default:
      return own(H5Tcopy(right), H5Tclose);
  }
}

void write_attribute(Choices& choices, hid_t object, const char* name, hid_t right, const void* value) {
  if (choices.below(16) == 1) return;
  const Handle type = some_type(choices, right);
  const hsize_t two[] = {2};
  const Handle space = choices.below(8) == 1   ? own(H5Screate_simple(1, two, nullptr), H5Sclose)
                       : choices.below(8) == 1 ? own(H5Screate(H5S_NULL), H5Sclose)
                                               : own(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute =
      own(H5Acreate2(object, name, type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (H5Tequal(type.id(), right) > 0 && H5Sget_simple_extent_type(space.id()) == H5S_SCALAR) {
    H5Awrite(attribute.id(), right, value);
  }
}

void write_integer(Choices& choices, hid_t object, const char* name, std::int64_t value) {
  const std::int64_t written = choices.one_of<std::int64_t, 10>(
      {value, value, value, value, value + 1, 0, -1, 4096, std::int64_t{1} << 22, INT64_MAX});
  write_attribute(choices, object, name, H5T_STD_I64LE, &written);
}

void write_text(Choices& choices, hid_t object, const char* name, const std::string& value) {
  const std::string text =
      choices.one_of<std::string, 6>({value, value, value, "\xff\xfe", "a\nb\x1b", std::string(2000, 'x')});
  const Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type.id(), std::max<std::size_t>(text.size(), 1));
  H5Tset_strpad(type.id(),
                choices.one_of<H5T_str_t, 3>({H5T_STR_NULLPAD, H5T_STR_NULLTERM, H5T_STR_SPACEPAD}));
  write_attribute(choices, object, name, type.id(), text.c_str());
}

/// A wrong or right shape. Sizes that no file can hold are not allocated until they are written.
std::vector<hsize_t> some_shape(Choices& choices, const std::vector<hsize_t>& right) {
  std::vector<hsize_t> shape = right;
  switch (choices.below(8)) {
    case 1:
      shape.push_back(1);
      break;
    case 2:
      shape.pop_back();
      break;
    case 3:
      shape.back() = choices.one_of<hsize_t, 5>({0, 1, 1000, hsize_t{1} << 33, hsize_t{1} << 62});
      break;
    default:
      break;
  }
  return shape;
}

/// True if all of them are in the schema, because writing through others can crash HDF5 itself.
bool set_filters(Choices& choices, hid_t storage) {
  bool known = true;
  for (std::size_t filters = choices.below(4); filters > 0; --filters) {
    switch (choices.below(6)) {
      case 1:
        H5Pset_shuffle(storage);
        break;
      case 2:
        H5Pset_deflate(storage, 6);
        break;
      case 3:
        known = false;
        H5Pset_nbit(storage);
        break;
      case 4:
        known = false;
        H5Pset_scaleoffset(storage, H5Z_SO_INT, 4);
        break;
      case 5: {
        known = false;
        const unsigned values[] = {1, 2, 3};
        H5Pset_filter(storage, 32000, H5Z_FLAG_OPTIONAL, 3, values);
        break;
      }
      default:
        H5Pset_fletcher32(storage);
    }
  }
  return known;
}

struct Storage {
  Handle list;
  bool can_be_written = false;
};

/// How the dataset is stored; in chunks as they should be by default.
Storage some_storage(Choices& choices, const std::vector<hsize_t>& shape) {
  Storage result{own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose)};
  const Handle& storage = result.list;
  const int rank = static_cast<int>(shape.size());
  switch (choices.below(8)) {
    case 1:
      H5Pset_layout(storage.id(), H5D_CONTIGUOUS);
      return result;
    case 2:
      H5Pset_layout(storage.id(), H5D_COMPACT);
      return result;
    case 3:
      H5Pset_external(storage.id(), "/dev/zero", 0, H5F_UNLIMITED);
      return result;
    case 4: {
      const Handle space = own(H5Screate_simple(rank, shape.data(), nullptr), H5Sclose);
      const char* file = choices.one_of<const char*, 3>({"other.h5", ".", "/dev/zero"});
      H5Pset_virtual(storage.id(), space.id(), file, "/loss", space.id());
      return result;
    }
    default:
      break;
  }
  std::vector<hsize_t> chunk = shape;
  for (hsize_t& size : chunk) {
    size = std::max<hsize_t>(std::min<hsize_t>(size, 4096), 1);
    size = choices.one_of<hsize_t, 8>(
        {size, size, size, size, (size + 1) / 2, 1, hsize_t{1} << 20, hsize_t{1} << 28});
  }
  if (rank > 0) H5Pset_chunk(storage.id(), rank, chunk.data());
  const bool known_filters = set_filters(choices, storage.id());
  const hsize_t longest = chunk.empty() ? 0 : *std::max_element(chunk.begin(), chunk.end());
  result.can_be_written = known_filters && longest <= 4096;  // a chunk is filled whole
  if (choices.below(8) == 1) H5Pset_alloc_time(storage.id(), H5D_ALLOC_TIME_LATE);
  return result;
}

/// A dataset under `name`, which is returned, or something else there.
Handle write_dataset(Choices& choices, hid_t parent, const std::string& name, hid_t right_type,
                     const std::vector<hsize_t>& right_shape, const void* data) {
  switch (choices.below(24)) {
    case 1:
      return {};
    case 2:
      H5Lcreate_soft("/entropy", parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return {};
    case 3:
      H5Lcreate_external("/dev/zero", "/loss", parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return {};
    case 4:
      return own(H5Gcreate2(parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
    case 5:
      H5Lcreate_hard(parent, "/", parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return {};
    case 6:
      H5Lcreate_hard(parent, "/token_ids", parent, name.c_str(), H5P_DEFAULT, H5P_DEFAULT);
      return {};
    case 7: {
      const Handle type = own(H5Tcopy(right_type), H5Tclose);
      H5Tcommit2(parent, name.c_str(), type.id(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      return {};
    }
    default:
      break;
  }
  const Handle type = some_type(choices, right_type);
  const std::vector<hsize_t> shape = some_shape(choices, right_shape);
  const std::vector<hsize_t> unlimited(shape.size(), H5S_UNLIMITED);
  const Storage storage = some_storage(choices, shape);
  const Handle space = own(H5Screate_simple(static_cast<int>(shape.size()), shape.data(),
                                            choices.below(4) == 1 ? unlimited.data() : nullptr),
                           H5Sclose);
  Handle dataset = own(
      H5Dcreate2(parent, name.c_str(), type.id(), space.id(), H5P_DEFAULT, storage.list.id(), H5P_DEFAULT),
      H5Dclose);
  const bool as_wanted = dataset.valid() && shape == right_shape && H5Tequal(type.id(), right_type) > 0 &&
                         storage.can_be_written;
  if (as_wanted) H5Dwrite(dataset.id(), right_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
  return dataset;
}

/// The trace that is written where no choice changes it.
struct Example {
  OracleDimensions dimensions{.layers = 2, .kv_heads = 2, .tokens = 6, .block_tokens = 4};
  OracleProvenance provenance{"m", "t", "seed: 1\n", "0.1", "float32"};
  OracleTrace trace{
      "train-000000", {1, 2, 3, 4, 5, 6}, {0, 1, 2, 3, 4, 5}, {0, 1, 1, 1, 1, 1}, {0, 0, 0, 1, 1, 1}};
  std::vector<std::uint16_t> attention = std::vector<std::uint16_t>(2 * 10, 0x3800);
};

void write_file(Choices& choices, const std::filesystem::path& path) {
  Example example;
  const Handle access = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access.id(), H5F_CLOSE_STRONG);
  H5Pset_libver_bounds(access.id(), choices.below(16) == 1 ? H5F_LIBVER_EARLIEST : H5F_LIBVER_V110,
                       H5F_LIBVER_V110);
  const Handle file = own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.id()), H5Fclose);
  write_integer(choices, file.id(), kVersionAttribute, kOracleSchemaVersion);
  for (const NamedInteger& integer : named_integers(example.dimensions)) {
    write_integer(choices, file.id(), integer.name, *integer.value);
  }
  for (const NamedText& text : named_texts(example.provenance, example.trace)) {
    write_text(choices, file.id(), text.name, *text.value);
  }
  for (const TokenDataset& dataset : token_datasets(example.trace)) {
    write_dataset(choices, file.id(), dataset.name, dataset.type, {6}, dataset.data);
  }
  const Handle group =
      own(H5Gcreate2(file.id(), kOracleAttentionGroup, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
  const Handle float16 = hdf5::float16_type(context());
  const std::string_view bytes(reinterpret_cast<const char*>(example.attention.data()), 40);
  const std::vector<std::string> digests(2, sha256_hex(bytes));
  for (std::int64_t layer = 0; layer < 2; ++layer) {
    const Handle dataset = write_dataset(choices, group.id(), oracle_layer_name(layer), float16.id(), {2, 10},
                                         example.attention.data());
    if (dataset.valid()) write_text(choices, dataset.id(), kLayerDigestAttribute, digests[0]);
  }
  write_text(choices, file.id(), kDigestAttribute,
             oracle_digest(example.dimensions, example.provenance, example.trace, digests));
}

}  // namespace

void fuzz_one(std::string_view input) {
  const hdf5::QuietErrors quiet;
  Choices choices(input);
  const auto& path = context().path;
  write_file(choices, path);
  expect_kept({.name = "made.h5"}, std::filesystem::file_size(path), [&] {
    const OracleReader reader(path);
    for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) reader.open_layer(layer);
  });
}

}  // namespace foresight::fuzz
