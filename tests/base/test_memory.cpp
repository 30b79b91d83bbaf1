#include "trainer/base/memory.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/catch.h"

namespace foresight {
namespace {

TEST_CASE("memory: the peak rises with usage, and a reset starts it from the present usage") {
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const std::int64_t before = peak_resident_bytes();
  {
    std::vector<char> large(kBytes, 'x');
    CHECK(std::count(large.begin(), large.end(), 'x') == static_cast<std::ptrdiff_t>(kBytes));
  }
  const std::int64_t raised = peak_resident_bytes();
  CHECK(raised - before > static_cast<std::int64_t>(kBytes) / 2);
  reset_peak_resident_bytes();
  CHECK(raised - peak_resident_bytes() > static_cast<std::int64_t>(kBytes) / 2);
}

}  // namespace
}  // namespace foresight
