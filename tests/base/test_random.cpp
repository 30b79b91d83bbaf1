#include "trainer/base/random.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <vector>

#include "tests/catch.h"
#include "trainer/base/error.h"

namespace foresight {
namespace {

std::vector<std::uint64_t> draw(RandomStream stream, int count) {
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < count; ++i) numbers.push_back(stream.next_u64());
  return numbers;
}

constexpr std::uint64_t kGamma = 0x9e3779b97f4a7c15ULL;

/// The bits that SplitMix64's output function (Steele, Lea, Flood 2014) gives `mixed` for.
std::uint64_t unmix(std::uint64_t mixed) {
  const auto unshift = [](std::uint64_t bits, int shift) {
    std::uint64_t result = bits;
    for (int i = 0; i < 64 / shift + 1; ++i) result = bits ^ (result >> shift);
    return result;
  };
  const auto inverse = [](std::uint64_t odd) {  // modulo 2^64, by Newton's method
    std::uint64_t guess = odd;
    for (int i = 0; i < 6; ++i) guess *= 2 - odd * guess;
    return guess;
  };
  std::uint64_t bits = unshift(mixed, 31) * inverse(0x94d049bb133111ebULL);
  bits = unshift(bits, 27) * inverse(0xbf58476d1ce4e5b9ULL);
  return unshift(bits, 30);
}

/// A generator in this state: that of a stream's key, which its first number gives away, and the index that
/// leads there (random_streams.py says how an index changes the key).
RandomStream stream_in_state(std::uint64_t state) {
  const std::uint64_t key = unmix(RandomStream(1, "any").next_u64()) - kGamma;
  const std::uint64_t index = unmix((key + kGamma) ^ unmix(state)) - kGamma;
  return {1, "any", {static_cast<std::int64_t>(index)}};
}

TEST_CASE("random: the generator gives the published SplitMix64 numbers") {
  CHECK(draw(stream_in_state(1234567), 5) ==
        std::vector<std::uint64_t>{6457827717110365317ULL, 3203168211198807973ULL, 9817491932198370423ULL,
                                   4593380528125082431ULL, 16408922859458223821ULL});
  CHECK(draw(stream_in_state(0), 3) ==
        std::vector<std::uint64_t>{0xe220a8397b1dcdafULL, 0x6e789e6aa1b965f4ULL, 0x06c45d188009454fULL});
}

// Values of tests/reference/random_streams.py: a resumed run needs the same streams from every build.
TEST_CASE("random: a keyed stream gives the reference script's numbers") {
  CHECK(draw(RandomStream(1, "rollout", {3, 0, 7}), 3) ==
        std::vector<std::uint64_t>{4700845640478234801ULL, 7230925950652586601ULL, 17342947888873542932ULL});
  CHECK(draw(RandomStream(1, "rollout", {-1}), 2) ==
        std::vector<std::uint64_t>{10756873878708435173ULL, 7551361917470721896ULL});
  CHECK(draw(RandomStream(0, ""), 2) ==
        std::vector<std::uint64_t>{16943586189316101798ULL, 5054222019358587932ULL});
}

TEST_CASE("random: seed, name, every index and their order make another stream") {
  std::set<std::uint64_t> first_numbers;
  std::size_t streams = 0;
  const auto add = [&](RandomStream stream) {
    first_numbers.insert(stream.next_u64());
    ++streams;
  };
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    add(RandomStream(seed, "rollout"));
    add(RandomStream(seed, "rollouts"));
    add(RandomStream(seed, ""));
    for (std::int64_t i = -20; i < 20; ++i) {
      add(RandomStream(seed, "rollout", {i}));
      for (std::int64_t j = 0; j < 20; ++j) add(RandomStream(seed, "rollout", {i, j}));
    }
  }
  add(RandomStream(1, "rollout", {0, 0, 0}));
  CHECK(first_numbers.size() == streams);
}

TEST_CASE("random: neighbouring streams are not correlated") {
  const int count = 20000;
  RandomStream one(7, "order", {0});
  RandomStream two(7, "order", {1});
  double product = 0;
  int equal_bits = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t a = one.next_u64();
    const std::uint64_t b = two.next_u64();
    equal_bits += 64 - __builtin_popcountll(a ^ b);
    product += (static_cast<double>(a) * 0x1.0p-64 - 0.5) * (static_cast<double>(b) * 0x1.0p-64 - 0.5);
  }
  // Five standard deviations: 1/12 per product, 1/2 per bit.
  CHECK(std::fabs(product) < 5.0 * std::sqrt(count) / 12.0);
  CHECK(std::fabs(equal_bits - 32.0 * count) < 5.0 * 0.5 * std::sqrt(64.0 * count));
}

TEST_CASE("random: a copy of a stream continues as the stream does") {
  RandomStream stream(3, "continue");
  stream.normal();
  stream.below(10);
  RandomStream other = stream;
  CHECK(stream.normal() == other.normal());
  CHECK(stream.gumbel() == other.gumbel());
  CHECK(draw(stream, 10) == draw(other, 10));
}

TEST_CASE("random: below is uniform over exactly its range") {
  for (const std::int64_t bound : {1, 2, 3, 7, 10, 64}) {
    RandomStream stream(11, "below", {bound});
    const std::int64_t draws = 10000 * bound;
    std::vector<std::int64_t> counts(static_cast<std::size_t>(bound), 0);
    for (std::int64_t i = 0; i < draws; ++i) {
      const std::int64_t value = stream.below(bound);
      REQUIRE(value >= 0);
      REQUIRE(value < bound);
      ++counts[static_cast<std::size_t>(value)];
    }
    for (const std::int64_t count : counts) CHECK(std::abs(count - 10000) < 500);  // five standard deviations
  }
}

TEST_CASE("random: below rejects what would bias a huge range") {
  // With a bound of 3 * 2^61 a bare remainder would put 3/4 of all draws below 2^62; 2/3 is right.
  const std::int64_t bound = std::int64_t{3} << 61;
  RandomStream stream(5, "bias");
  const int draws = 20000;
  int small = 0;
  for (int i = 0; i < draws; ++i) small += stream.below(bound) < (std::int64_t{1} << 62) ? 1 : 0;
  CHECK(std::fabs(small / static_cast<double>(draws) - 2.0 / 3.0) < 0.02);
  CHECK(stream.below(std::numeric_limits<std::int64_t>::max()) >= 0);
}

TEST_CASE("random: below refuses an empty range") {
  RandomStream stream(1, "x");
  for (const std::int64_t bound : {std::int64_t{0}, std::int64_t{-3}}) {
    try {
      stream.below(bound);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInternal);
      CHECK_THAT(error.what(), Catch::Contains("above 0"));
    }
  }
}

// The Kolmogorov-Smirnov distance of 20,000 draws exceeds 0.0138 in one of a thousand fair runs.
template <class Draw, class Distribution>
double largest_gap(Draw draw_one, Distribution distribution) {
  const int count = 20000;
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(draw_one());
  std::sort(values.begin(), values.end());
  double gap = 0;
  for (int i = 0; i < count; ++i) {
    const double expected = distribution(values[static_cast<std::size_t>(i)]);
    gap = std::max(
        {gap, std::fabs(expected - i / double(count)), std::fabs(expected - (i + 1) / double(count))});
  }
  return gap;
}

TEST_CASE("random: uniform, normal and gumbel have their distributions") {
  RandomStream stream(2, "distributions");
  CHECK(largest_gap([&] { return stream.uniform(); }, [](double x) { return x; }) < 0.0138);
  CHECK(largest_gap([&] { return stream.normal(); },
                    [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }) < 0.0138);
  CHECK(largest_gap([&] { return stream.gumbel(); }, [](double x) { return std::exp(-std::exp(-x)); }) <
        0.0138);
}

TEST_CASE("random: the extreme bit patterns stay finite and inside the range") {
  for (const std::uint64_t bits : {std::uint64_t{0}, ~std::uint64_t{0}}) {
    const auto stream = [bits] { return stream_in_state(unmix(bits) - kGamma); };
    REQUIRE(stream().next_u64() == bits);
    const double uniform = stream().uniform();
    CHECK(uniform >= 0.0);
    CHECK(uniform < 1.0);
    CHECK(std::isfinite(stream().gumbel()));
    CHECK(std::isfinite(stream().normal()));
  }
}

}  // namespace
}  // namespace foresight
