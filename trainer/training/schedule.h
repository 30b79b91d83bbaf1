// Learning-rate and weight schedules.
#pragma once

#include <cstdint>

#include "trainer/config/choices.h"

namespace foresight {

/// Factor of the base value at `step` (from 0) of `steps`: (step + 1) / warmup during the warm-up, then 1, a
/// line to 0, or half a cosine to 0 over the rest.
double schedule_factor(Schedule schedule, std::int64_t step, std::int64_t steps, std::int64_t warmup_steps);

}  // namespace foresight
