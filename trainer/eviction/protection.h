// Entries that no policy evicts: the first ones of a trace (docs/method.md, "The cache").
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/eviction/eviction_view.h"

namespace foresight {

/// The most entries that are protected in any row of the view.
std::int64_t most_protected(const EvictionView& view);

/// Which candidates are protected: [R, 1, B] bool on the view's device; undefined where none is.
torch::Tensor protected_candidates(const EvictionView& view);

/// The `count` candidates of highest score [R, K, B], as highest_entries(); protected ones come after all
/// others.
torch::Tensor highest_unprotected(const EvictionView& view, const torch::Tensor& scores, std::int64_t count);

/// What goes by scores [R, K, B], high = evict: the W highest that are not protected.
torch::Tensor evict_highest(const EvictionView& view, const torch::Tensor& scores);

/// The view with a protection of the policy's own besides: `sinks` first tokens and the prompt.
EvictionView protect_also(const EvictionView& view, std::int64_t sinks);

}  // namespace foresight
