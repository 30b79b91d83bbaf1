// Oracle files of models some of whose layers do not evict.
#include "data/inspect.h"
#include "data/oracle_file.h"
#include "tests/base/temporary_folder.h"
#include "tests/data/oracle_fixture.h"
#include "tests/data/support.h"
#include "tests/data/whole_layer.h"

namespace foresight {
namespace {

TEST_CASE("oracle file: of a model some of whose layers do not evict, the others keep the model's numbers") {
  // Written by h5py, as the documentation says.
  const OracleReader reader(reference_folder("oracle") / "good_some_layers.h5");
  CHECK(reader.dimensions().schema_version() == 2);
  CHECK(reader.dimensions().numbers == std::vector<std::int64_t>{1, 5});
  const OracleReader all(reference_folder("oracle") / "good.h5");
  CHECK(all.dimensions().schema_version() == 1);
  for (const std::int64_t layer : {0, 1}) CHECK(whole_layer(reader, layer) == whole_layer(all, layer));
  const auto facts = describe_oracle_file(reader.path());
  CHECK(facts["schema_version"] == 2);
  CHECK(facts["evicting_layers"] == std::vector<int>{1, 5});
  CHECK(facts["datasets"][5]["name"] == "/future_attention/layer_005");

  const TemporaryFolder folder;
  OracleExample example = make_example({.layers = 2, .kv_heads = 3, .tokens = 37, .block_tokens = 8});
  example.dimensions.numbers = {3, 4095};
  write_example(folder / "trace.h5", example, 0);
  CHECK(same_as_example(folder / "trace.h5", example));
  CHECK(OracleReader(folder / "trace.h5").read_rows(1, 0, example.dimensions.blocks()) == example.layers[1]);
}

}  // namespace
}  // namespace foresight
