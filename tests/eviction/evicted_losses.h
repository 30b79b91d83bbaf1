// A whole run under eviction for its losses alone, which the program always takes window by window.
#pragma once

#include <torch/types.h>

#include "trainer/eviction/evicted_run.h"

namespace foresight {

/// The losses [R, L] of an EvictedRun from its first token to its last.
inline torch::Tensor evicted_losses(const Transformer& model, const TraceTokens& traces,
                                    const CacheSize& size, std::int64_t copies,
                                    const EvictionSelector& select) {
  EvictedRun run(model, traces, size, copies, select);
  return run_to_end(run, nullptr, {}, {}).losses;
}

}  // namespace foresight
