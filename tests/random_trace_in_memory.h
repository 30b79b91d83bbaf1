// A trace of random tokens with its full-KV losses, in memory alone.
#pragma once

#include <torch/types.h>

#include <string>

#include "trainer/eviction/full_run.h"
#include "trainer/traces/recorded_trace.h"

namespace foresight {

/// All of it a completion.
inline RecordedTrace random_trace_in_memory(const Transformer& model, const std::string& id,
                                            std::int64_t length, std::uint64_t seed) {
  torch::manual_seed(seed);
  RecordedTrace trace;
  trace.id = id;
  trace.tokens = torch::randint(0, 97, {length}, torch::kInt64);
  const FullPass pass = full_pass(model, trace.tokens, 16);
  trace.loss = pass.loss;
  trace.entropy = pass.entropy;
  trace.completion = torch::ones({length}, torch::kBool);
  return trace;
}

}  // namespace foresight
