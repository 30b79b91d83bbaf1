// Oracle files (HDF5) that are damaged: bytes changed anywhere. fuzz_oracle_made.cpp makes whole ones.
#include "data/oracle_file.h"
#include "tests/fuzz/harness.h"

namespace foresight::fuzz {

void fuzz_one(std::string_view input) {
  const auto path = put_file("in.h5", input);
  expect_kept({.name = "in.h5"}, input.size(), [&] {
    const OracleReader reader(path);
    for (std::int64_t layer = 0; layer < reader.dimensions().layers; ++layer) {
      reader.read_rows(layer, reader.dimensions().blocks() - 1, 1);
      reader.open_layer(layer);
    }
  });
}

}  // namespace foresight::fuzz
