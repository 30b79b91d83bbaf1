#include "trainer/base/distinct_names.h"

#include "tests/catch.h"

namespace foresight {
namespace {

using Names = std::vector<std::string>;

TEST_CASE("distinct names: paths lose the leading folders that all of them share", "[base]") {
  CHECK(distinct_names({"runs/a/exports/s.safetensors", "runs/b/exports/s.safetensors"}) ==
        Names{"a/exports/s.safetensors", "b/exports/s.safetensors"});
  CHECK(distinct_names({"runs/one/s", "runs/once/s", "runs/one/t"}) == Names{"one/s", "once/s", "one/t"});
  CHECK(distinct_names({"/x/s", "y/s"}) == Names{"/x/s", "y/s"});
  CHECK(distinct_names({"d/s", "d/s"}) == Names{"s", "s"});
}

TEST_CASE("distinct names: one path alone keeps its last folder", "[base]") {
  CHECK(distinct_names({"/a/b/c/s.safetensors"}) == Names{"c/s.safetensors"});
  CHECK(distinct_names({"s.safetensors"}) == Names{"s.safetensors"});
  CHECK(distinct_names({"/s"}) == Names{"s"});
  CHECK(distinct_names({}).empty());
}

}  // namespace
}  // namespace foresight
