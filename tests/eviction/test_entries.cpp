#include "trainer/eviction/entries.h"

#include <torch/types.h>

#include "trainer/base/error.h"
// after torch: c10 defines CHECK too
#include "tests/catch.h"

using namespace foresight;  // NOLINT(google-build-using-namespace): a test of this namespace

TEST_CASE("entries: the chosen vectors of every row and head, in the order asked for", "[eviction]") {
  const auto type = GENERATE(torch::kFloat32, torch::kBFloat16);
  const torch::Tensor all = torch::arange(2 * 3 * 7 * 4).view({2, 3, 7, 4}).to(type);  // bfloat16 rounds some
  const torch::Tensor vectors = all.narrow(2, 1, 5);                                   // not contiguous
  const torch::Tensor entries =
      torch::tensor({4, 0, 1, 1, 3, 2, 0, 4, 2, 2, 0, 1}, torch::kInt64).view({2, 3, 2});
  const torch::Tensor chosen = select_entries(vectors, entries);
  REQUIRE(chosen.sizes() == torch::IntArrayRef({2, 3, 2, 4}));
  CHECK(chosen.scalar_type() == type);
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t head = 0; head < 3; ++head) {
      for (std::int64_t i = 0; i < 2; ++i) {
        const auto entry = entries[row][head][i].item<std::int64_t>();
        CHECK(torch::equal(chosen[row][head][i], all[row][head][entry + 1]));
      }
    }
  }
  CHECK_THROWS_AS(select_entries(vectors, entries.view({3, 2, 2})), Error);
  CHECK_THROWS_AS(select_entries(vectors[0], entries), Error);
}
