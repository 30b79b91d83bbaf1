// Oracle files that are valid HDF5, but made to reach other files, other code or too much memory. The rest of
// them were made with h5py (tests/reference/oracle, test_oracle_damage.cpp).
#include <sys/inotify.h>
#include <unistd.h>

#include <functional>

#include "data/hdf5_handles.h"
#include "data/oracle_file.h"
#include "tests/base/temporary_folder.h"
#include "tests/data/oracle_fixture.h"
#include "tests/data/support.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;
using hdf5::Handle;

const OracleDimensions kSmall = {.layers = 1, .kv_heads = 1, .tokens = 8, .block_tokens = 4};

Handle own(hid_t id, herr_t (*close)(hid_t)) {
  REQUIRE(id >= 0);
  return {id, close};
}

/// A good file, opened for writing, with `change` made to it.
fs::path changed_file(const TemporaryFolder& folder, const std::function<void(hid_t)>& change) {
  fs::path path = folder / "changed.h5";
  write_example(path, make_example(kSmall), 0);
  const hdf5::QuietErrors quiet;
  const Handle file = own(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), H5Fclose);
  change(file.id());
  return path;
}

std::string fault_of(const fs::path& path) {
  const std::string message = error_of(ErrorKind::kInput, [&] { OracleReader reader(path); });
  CHECK_THAT(message, Contains(path.filename().string()));
  return message;
}

/// Puts another dataset in the place of "loss".
void replace_loss(hid_t file, hid_t type, const std::vector<hsize_t>& shape, const std::vector<hsize_t>& most,
                  const std::function<void(hid_t)>& set_storage) {
  REQUIRE(H5Ldelete(file, "loss", H5P_DEFAULT) >= 0);
  const Handle storage = own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  set_storage(storage.id());
  const Handle space =
      own(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), most.data()), H5Sclose);
  own(H5Dcreate2(file, "loss", type, space.id(), H5P_DEFAULT, storage.id(), H5P_DEFAULT), H5Dclose);
}

void chunks_of(hid_t storage, const std::vector<hsize_t>& chunk) {
  REQUIRE(H5Pset_chunk(storage, static_cast<int>(chunk.size()), chunk.data()) >= 0);
}

/// Counts how often a file is opened while it lives.
class OpenCounter {
 public:
  explicit OpenCounter(const fs::path& file) : descriptor_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    REQUIRE(::inotify_add_watch(descriptor_, file.c_str(), IN_OPEN) >= 0);
  }
  OpenCounter(const OpenCounter&) = delete;
  OpenCounter& operator=(const OpenCounter&) = delete;
  ~OpenCounter() { ::close(descriptor_); }
  bool was_opened() const {
    std::array<char, 4096> events{};
    return ::read(descriptor_, events.data(), events.size()) > 0;
  }

 private:
  int descriptor_;
};

TEST_CASE("oracle file: the files that a virtual dataset or a link names are not opened") {
  const TemporaryFolder folder;
  write_example(folder / "other.h5", make_example(kSmall), 0);
  const std::string other = (folder / "other.h5").string();
  const OpenCounter counter(other);
  const hsize_t eight[] = {8}, unlimited[] = {H5S_UNLIMITED};
  const auto use = [&](hid_t storage) {
    const Handle space = own(H5Screate_simple(1, eight, unlimited), H5Sclose);
    const hsize_t start[] = {0};
    REQUIRE(H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, start, nullptr, unlimited, nullptr) >= 0);
    REQUIRE(H5Pset_virtual(storage, space.id(), other.c_str(), "/loss", space.id()) >= 0);
  };
  const fs::path mapped = changed_file(
      folder, [&](hid_t file) { replace_loss(file, H5T_IEEE_F32LE, {8}, {H5S_UNLIMITED}, use); });
  while (counter.was_opened()) {  // while it was made
  }
  CHECK_THAT(fault_of(mapped), Contains("dataset loss: virtual, external or not chunked"));
  const fs::path linked = changed_file(folder, [&](hid_t file) {
    REQUIRE(H5Ldelete(file, "loss", H5P_DEFAULT) >= 0);
    REQUIRE(H5Lcreate_external(other.c_str(), "/loss", file, "loss", H5P_DEFAULT, H5P_DEFAULT) >= 0);
  });
  CHECK_THAT(fault_of(linked), Contains("loss is a soft or external link"));
  const fs::path stored = changed_file(folder, [&](hid_t file) {
    replace_loss(file, H5T_IEEE_F32LE, {8}, {8}, [&](hid_t storage) {
      REQUIRE(H5Pset_external(storage, other.c_str(), 0, H5F_UNLIMITED) >= 0);
    });
  });
  CHECK_THAT(fault_of(stored), Contains("dataset loss: virtual, external or not chunked"));
  CHECK_FALSE(counter.was_opened());
}

TEST_CASE("oracle file: reading one loads no filter plugins") {
  const TemporaryFolder folder;
  const fs::path path = changed_file(folder, [](hid_t file) {
    replace_loss(file, H5T_IEEE_F32LE, {8}, {8}, [](hid_t storage) {
      chunks_of(storage, {8});
      REQUIRE(H5Pset_filter(storage, 32015, H5Z_FLAG_OPTIONAL, 0, nullptr) >= 0);
    });
  });
  CHECK_THAT(fault_of(path), Contains("dataset loss: unknown filter 32015"));
  unsigned loading = 1;
  REQUIRE(H5PLget_loading_state(&loading) >= 0);
  CHECK(loading == 0);
}

TEST_CASE("oracle file: filters of HDF5 itself that the schema does not know are refused too") {
  const TemporaryFolder folder;
  for (const bool scale : {false, true}) {
    const fs::path path = changed_file(folder, [&](hid_t file) {
      replace_loss(file, H5T_IEEE_F32LE, {8}, {8}, [&](hid_t storage) {
        chunks_of(storage, {8});
        if (scale) REQUIRE(H5Pset_scaleoffset(storage, H5Z_SO_FLOAT_DSCALE, 2) >= 0);
        if (!scale) REQUIRE(H5Pset_nbit(storage) >= 0);
      });
    });
    CHECK_THAT(fault_of(path), Contains("dataset loss: unknown filter"));
  }
}

TEST_CASE("oracle file: sizes beyond the file are refused before anything is allocated") {
  const TemporaryFolder folder;
  const auto fault = [&](const std::vector<hsize_t>& shape, const std::vector<hsize_t>& chunk) {
    return fault_of(changed_file(folder, [&](hid_t file) {
      const std::vector<hsize_t> most(shape.size(), H5S_UNLIMITED);
      replace_loss(file, H5T_IEEE_F32LE, shape, most, [&](hid_t storage) { chunks_of(storage, chunk); });
    }));
  };
  CHECK_THAT(fault({hsize_t{1} << 62}, {8}),
             Contains("dataset loss: shape [4611686018427387904], expected [8]"));
  CHECK_THAT(fault({8, hsize_t{1} << 60}, {8, 8}), Contains("dataset loss: shape [8, 1152921504606846976]"));
  CHECK_THAT(fault({8}, {1024}), Contains("dataset loss: chunks [1024] hold more"));
  CHECK_THAT(fault({8}, {hsize_t{1} << 29}), Contains("dataset loss: chunks [536870912] hold more"));
  const fs::path claims = changed_file(folder, [](hid_t file) {
    for (const char* name : {"tokens", "layers", "kv_heads"}) {
      const std::int64_t most = 4096;
      const Handle attribute = own(H5Aopen(file, name, H5P_DEFAULT), H5Aclose);
      REQUIRE(H5Awrite(attribute.id(), H5T_NATIVE_INT64, &most) >= 0);
    }
  });
  CHECK_THAT(fault_of(claims), Contains("is missing"));
}

TEST_CASE("oracle file: the format before checksums is refused") {
  const TemporaryFolder folder;
  const hdf5::QuietErrors quiet;
  const fs::path path = folder / "old.h5";
  own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  CHECK_THAT(fault_of(path), Contains("superblock 0, expected 2 or 3"));
}

TEST_CASE("oracle file: a text that is not UTF-8 is refused, one with controls is shown on one line") {
  const TemporaryFolder folder;
  const auto with_text = [&](const char* name, const std::string& text) {
    return changed_file(folder, [&](hid_t file) {
      REQUIRE(H5Adelete(file, name) >= 0);
      hdf5::write_string_attribute({ErrorKind::kInternal, "changed.h5"}, file, name, text);
    });
  };
  CHECK_THAT(fault_of(with_text("config_yaml", "a\xff")), Contains("attribute config_yaml: not UTF-8"));
  CHECK_THAT(fault_of(with_text("digest", "a\nb\x1b[2J")), Contains("expected a\\nb\\x1b[2J; record"));
}

}  // namespace
}  // namespace foresight
