#include "trainer/generation/sampling.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "trainer/base/error.h"

namespace foresight {

std::int32_t sample_token(const torch::Tensor& logits, const SamplingOptions& options, RandomStream& random) {
  const torch::Tensor host = logits.to(torch::kCPU, torch::kFloat32).contiguous();
  const float* values = host.const_data_ptr<float>();
  const auto size = static_cast<std::int32_t>(host.numel());
  const std::int32_t best = static_cast<std::int32_t>(std::max_element(values, values + size) - values);
  if (!std::isfinite(values[best])) throw Error(ErrorKind::kNumeric, "generation: logits are not finite");
  if (options.temperature == 0.0) return best;
  std::vector<std::int32_t> order(static_cast<std::size_t>(size));
  for (std::int32_t i = 0; i < size; ++i) order[static_cast<std::size_t>(i)] = i;
  const auto likelier = [&](std::int32_t a, std::int32_t b) {
    return values[a] != values[b] ? values[a] > values[b] : a < b;
  };
  auto count =
      static_cast<std::size_t>(options.top_k > 0 ? std::min<std::int64_t>(options.top_k, size) : size);
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(), likelier);
  std::vector<double> weights(count);
  double total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto difference = static_cast<double>(values[order[i]]) - static_cast<double>(values[best]);
    total += weights[i] = std::exp(difference / options.temperature);
  }
  double kept = 0;
  for (std::size_t i = 0; i < count; ++i) {
    kept += weights[i];
    if (kept >= options.top_p * total) {
      count = i + 1;
      break;
    }
  }
  double rest = random.uniform() * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    rest -= weights[i];
    if (rest < 0) return order[i];
  }
  return order[count - 1];
}

}  // namespace foresight
