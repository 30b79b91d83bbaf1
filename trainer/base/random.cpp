#include "trainer/base/random.h"

#include <cmath>
#include <numbers>

#include "trainer/base/error.h"
#include "trainer/base/split_mix.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

// FNV-1a, 64 bits.
std::uint64_t hash_name(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : name) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3ULL;
  }
  return hash;
}

std::uint64_t absorb(std::uint64_t key, std::uint64_t value) {
  return mix_bits((key + kGoldenGamma) ^ mix_bits(value + kGoldenGamma));
}

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, std::string_view name,
                           std::initializer_list<std::int64_t> indices)
    : state_(absorb(absorb(0, seed), hash_name(name))) {
  for (const std::int64_t index : indices) state_ = absorb(state_, static_cast<std::uint64_t>(index));
}

std::uint64_t RandomStream::next_u64() {
  state_ += kGoldenGamma;
  return mix_bits(state_);
}

double RandomStream::uniform() {
  return static_cast<double>(next_u64() >> 11) * 0x1.0p-53;
}

std::int64_t RandomStream::below(std::int64_t bound) {
  if (bound <= 0) {
    throw Error(ErrorKind::kInternal, concat("RandomStream::below: expected a bound above 0, got ", bound));
  }
  const auto range = static_cast<std::uint64_t>(bound);
  // The first 2^64 mod range values would appear once too often, so they are rejected and drawn again.
  const std::uint64_t surplus = (0 - range) % range;
  std::uint64_t bits = next_u64();
  while (bits < surplus) bits = next_u64();
  return static_cast<std::int64_t>(bits % range);
}

double RandomStream::normal() {
  // 1 - u lies in (0, 1]. The second value of the pair is not kept: 64 bits are all the state that a
  // stream has.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

double RandomStream::gumbel() {
  return gumbel_of(next_u64());
}

}  // namespace foresight
