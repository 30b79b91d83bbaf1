// Oracle files (HDF5). HDF5's own structures carry checksums: mutate_oracle.cpp mends them.
#include "data/oracle_file.h"
#include "tests/fuzz/harness.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  const auto path = put_file("in.h5", input);
  // docs/hdf5_format.md: a compressed dataset may claim 1000 times the file, a chunk may hold 16 MiB.
  const Promise promise{
      .name = "in.h5", .fixed_bytes = std::size_t{48} << 20, .bytes_per_byte = std::size_t{2500}};
  expect_kept(promise, input.size(), [&] {
    const OracleReader reader(path);
    for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) reader.read_layer(layer);
  });
}

}  // namespace foresight::fuzz
