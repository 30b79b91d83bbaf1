#include "trainer/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace foresight {

double schedule_factor(Schedule schedule, std::int64_t step, std::int64_t steps, std::int64_t warmup_steps) {
  if (step < warmup_steps) return static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (schedule == Schedule::kConstant) return 1.0;
  const auto rest = static_cast<double>(std::max<std::int64_t>(1, steps - warmup_steps));
  const double done = std::min(1.0, static_cast<double>(step - warmup_steps) / rest);
  if (schedule == Schedule::kLinear) return 1.0 - done;
  return 0.5 * (1.0 + std::cos(std::numbers::pi * done));
}

}  // namespace foresight
