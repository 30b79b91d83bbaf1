#include "trainer/kernels/highest.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

namespace foresight::kernels {
namespace {

constexpr std::uint32_t kAll = 0xffffffffU;

/// A value and its index in one number that is the greater the earlier it comes.
std::uint64_t ranked(float value, std::int64_t index) {
  constexpr std::uint32_t kSign = 0x80000000U;
  constexpr int kHalf = 32;
  std::uint32_t order = kAll;
  if (value == value) {
    const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);  // -0 becomes 0, its equal
    order = (bits & kSign) != 0 ? ~bits : bits | kSign;
  }
  return (static_cast<std::uint64_t>(order) << kHalf) | (kAll - static_cast<std::uint32_t>(index));
}

void rank_row(const float* values, std::vector<std::uint64_t>& row, std::int64_t count, std::int64_t* to) {
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = ranked(values[i], static_cast<std::int64_t>(i));
  const auto end = row.begin() + count;
  if (end != row.end()) std::nth_element(row.begin(), end, row.end(), std::greater<>());
  std::sort(row.begin(), end, std::greater<>());
  for (std::int64_t i = 0; i < count; ++i)
    to[i] = kAll - static_cast<std::uint32_t>(row[static_cast<std::size_t>(i)] & kAll);
}

}  // namespace

torch::Tensor highest(const torch::Tensor& values, std::int64_t count) {
  const torch::Tensor here = values.detach().contiguous();
  if (!here.is_cpu() || here.scalar_type() != torch::kFloat32) {
    const auto order = std::get<1>(torch::sort(here, /*stable=*/true, /*dim=*/-1, /*descending=*/true));
    return order.narrow(-1, 0, count).contiguous();
  }
  const std::int64_t entries = here.size(-1);
  std::vector<std::int64_t> sizes = here.sizes().vec();
  sizes.back() = count;
  torch::Tensor found = torch::empty(sizes, torch::kInt64);
  const float* const from = here.const_data_ptr<float>();
  auto* const to = found.mutable_data_ptr<std::int64_t>();
  constexpr std::int64_t kTogether = 512;  // entries, for which it is worth to wake a thread
  at::parallel_for(0, here.numel() / entries, std::max<std::int64_t>(1, kTogether / entries),
                   [&](std::int64_t first, std::int64_t last) {
                     std::vector<std::uint64_t> row(static_cast<std::size_t>(entries));
                     for (std::int64_t i = first; i < last; ++i)
                       rank_row(from + i * entries, row, count, to + i * count);
                   });
  return found;
}

}  // namespace foresight::kernels
