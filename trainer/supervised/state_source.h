// The states of training traces, with what the oracle says of their entries: what the ranking loss learns
// from, stored or as a replay passes them.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace foresight {

/// Some evictions of one trace in one layer; N is B less what is protected.
struct RankedStates {
  std::int64_t layer = 0;
  std::vector<std::int64_t> evictions;  ///< n of them
  torch::Tensor features;               ///< [n, K, N, F] float32, of the N candidates that may go
  torch::Tensor oracle;                 ///< [n, K, N] float32, o = -C (high = evict)
};
using RankedStatesConsumer = std::function<void(const RankedStates&)>;

/// A source of states. Traces are numbered as the stage lists them.
class StateSource {
 public:
  virtual ~StateSource() = default;
  /// The evictions that can be asked for, by trace, ascending.
  virtual const std::vector<std::vector<std::int64_t>>& evictions() const = 0;
  /// Shows the consumer these evictions of a trace in every layer, some at a time, in an order of the
  /// source's own. Throws Error(kInput) for recorded attention that cannot be read.
  virtual void visit(std::int64_t trace, const std::vector<std::int64_t>& evictions,
                     const RankedStatesConsumer& consume) const = 0;
};

}  // namespace foresight
