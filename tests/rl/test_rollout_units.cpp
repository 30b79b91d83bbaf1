#include "rl/rollout_units.h"
#include "tests/catch.h"

namespace foresight {
namespace {

TEST_CASE("rollout units: whole groups of one length while they fit, shorter traces first", "[rl]") {
  const auto units = rollout_units({96, 64, 96, 96}, /*group_size=*/4, /*most=*/8);
  CHECK((units == std::vector<RolloutUnit>{{{1}, 0, 4}, {{0, 2}, 0, 4}, {{3}, 0, 4}}));
}

TEST_CASE("rollout units: a group that does not fit is cut, and every copy is in one unit", "[rl]") {
  const auto units = rollout_units({64, 64}, /*group_size=*/5, /*most=*/2);
  CHECK((units == std::vector<RolloutUnit>{
                      {{0}, 0, 2}, {{0}, 2, 2}, {{0}, 4, 1}, {{1}, 0, 2}, {{1}, 2, 2}, {{1}, 4, 1}}));
  std::int64_t rows = 0;
  for (const RolloutUnit& unit : units) rows += unit.rows();
  CHECK(rows == 10);
}

}  // namespace
}  // namespace foresight
