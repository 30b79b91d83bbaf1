// NCCL among one rank: the calls, the stream and the waiting are those of many.
#include <torch/types.h>

#include "trainer/base/error.h"
#include "trainer/comm/device_group.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("gpu: NCCL with a world of one gives back what it was given", "[gpu]") {
  REQUIRE(has_nccl());
  CHECK_FALSE(nccl_version().empty());
  int looked = 0;
  const auto group = join_device_group(new_device_group_id(), 0, 1, 0, [&] { ++looked; });
  const torch::Tensor mine = torch::randn({1 << 20}, torch::kCUDA);
  torch::Tensor all = torch::empty_like(mine), sum = mine.clone();
  group->all_gather(mine.const_data_ptr<float>(), all.data_ptr<float>(), 1 << 20, "test");
  group->sum(sum.data_ptr<float>(), 1 << 20, "test");
  CHECK(torch::equal(all, mine));
  CHECK(torch::equal(sum, mine));
}

TEST_CASE("gpu: an id of another build is refused", "[gpu]") {
  CHECK_THROWS_AS(join_device_group("short", 0, 1, 0, [] {}), Error);
}
