// Random streams named by purpose, not by thread or rank: the same (seed, name, indices) gives the same
// numbers on every machine.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace foresight {

/// A stream of random numbers named by purpose and indices, for example RandomStream(seed, "rollout", {step,
/// prompt, rollout}). The generator is SplitMix64 (Steele, Lea, Flood 2014); the key is hashed with the seed.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name, std::initializer_list<std::int64_t> indices = {});

  /// All that decides the numbers to come: number i of them, from 0, is a function of state() and i.
  std::uint64_t state() const { return state_; }
  /// 64 uniform bits.
  std::uint64_t next_u64();
  /// Uniform in [0, 1), 53 bits.
  double uniform();
  /// Uniform integer in [0, bound), unbiased. `bound` > 0.
  std::int64_t below(std::int64_t bound);
  /// Standard normal (Box-Muller).
  double normal();
  /// Standard Gumbel: -log(-log(u)).
  double gumbel();

 private:
  std::uint64_t state_;
};

}  // namespace foresight
