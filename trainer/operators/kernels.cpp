#include "trainer/operators/kernels.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace foresight::operators {
namespace {

constexpr float kDecayPerWindow = 0.9F;  // as trainer/eviction/evicting_cache.cpp
constexpr std::int64_t kMaximum = 0, kMinimum = 1, kSum = 2, kCumulative = 6, kDecayed = 7;
/// Statistic and the number of a window's last queries that it is the sum of, in candidate_features()'s
/// order.
constexpr std::int64_t kPartial[][2] = {{3, 16}, {4, 8}, {5, 32}};

/// Sixteen partial sums: the compiler may not change the order of a single one, and would add number by
/// number.
float dot(const float* left, const float* right, std::int64_t width) {
  constexpr std::int64_t kLanes = 16;
  float sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += left[i + lane] * right[i + lane];
  }
  for (; i < width; ++i) sums[i % kLanes] += left[i] * right[i];
  return std::accumulate(sums, sums + kLanes, 0.0F);
}

/// products [count] -> their softmax.
void softmax(float* products, std::int64_t count) {
  const float highest = *std::max_element(products, products + count);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    products[i] = std::exp(products[i] - highest);
    sum += products[i];
  }
  const auto share = static_cast<float>(1.0 / sum);
  for (std::int64_t i = 0; i < count; ++i) products[i] *= share;
}

/// Takes one query's attention to an entry into the statistics [8, g] of query head `head`; query: its place
/// in the window.
void take(float* statistics, std::int64_t group, std::int64_t head, float attention, std::int64_t query,
          std::int64_t window) {
  float* own = statistics + head;
  if (query == 0) {
    own[kMaximum * group] = own[kMinimum * group] = attention;
    for (std::int64_t sum = kSum; sum < kWindowStatistics; ++sum) own[sum * group] = 0;
  }
  own[kMaximum * group] = std::max(own[kMaximum * group], attention);
  own[kMinimum * group] = std::min(own[kMinimum * group], attention);
  own[kSum * group] += attention;
  for (const auto& [statistic, last] : kPartial) {
    if (query >= window - last) own[statistic * group] += attention;
  }
}

}  // namespace

void observe(const Observation& now, const Entries& keys, const Entries& statistics) {
  const std::int64_t width = keys.width, before = now.live - now.tokens;
  std::vector<float> all(static_cast<std::size_t>(now.live * width));
  for (std::int64_t entry = 0; entry < now.live; ++entry) keys.read(entry, all.data() + entry * width);
  for (std::int64_t entry = before; entry < now.live; ++entry) {
    std::fill_n(statistics.floats(entry), kStatistics * now.group, 0.0F);
  }
  std::vector<float> attention(static_cast<std::size_t>(now.live));
  for (std::int64_t token = 0; token < now.tokens; ++token) {
    const std::int64_t visible = before + token + 1, query = now.first + token;
    for (std::int64_t head = 0; head < now.group; ++head) {
      const float* vector = now.queries + token * now.token_stride + head * now.head_stride;
      for (std::int64_t entry = 0; entry < visible; ++entry) {
        attention[static_cast<std::size_t>(entry)] =
            now.scale * dot(vector, all.data() + entry * width, width);
      }
      softmax(attention.data(), visible);
      for (std::int64_t entry = 0; entry < visible; ++entry) {
        take(statistics.floats(entry), now.group, head, attention[static_cast<std::size_t>(entry)], query,
             now.window);
      }
    }
  }
}

void close_window(const Entries& statistics, std::int64_t live, std::int64_t group) {
  for (std::int64_t entry = 0; entry < live; ++entry) {
    float* own = statistics.floats(entry);
    for (std::int64_t head = 0; head < group; ++head) {
      const float sum = own[kSum * group + head];
      own[kCumulative * group + head] += sum;
      float& decayed = own[kDecayed * group + head];
      decayed = kDecayPerWindow * decayed + sum;
    }
  }
}

void score(const Entries& keys, const Entries& values, const Entries& statistics, std::int64_t count,
           std::int64_t group, const Network& network, bool released, float* scores) {
  const std::int64_t width = keys.width, inputs = 2 * width + kStatistics * group;
  std::vector<float> features(static_cast<std::size_t>(inputs));
  for (std::int64_t entry = 0; entry < count; ++entry) {
    keys.read(entry, features.data());
    values.read(entry, features.data() + width);
    const float* raw = statistics.floats(entry);
    for (std::int64_t i = 0; i < kStatistics * group; ++i) {
      const std::int64_t kind = i / group, head = i % group;
      const bool repeats = released && kind > kSum && kind < kCumulative;
      const float value = raw[repeats ? kSum * group + head : i];
      features[static_cast<std::size_t>(2 * width + i)] = released ? value : std::log1p(value * 100.0F);
    }
    float hidden[kHidden];
    std::copy_n(network.bias1, kHidden, hidden);
    for (std::int64_t i = 0; i < inputs; ++i) {
      const float value = features[static_cast<std::size_t>(i)];
      for (std::int64_t unit = 0; unit < kHidden; ++unit)
        hidden[unit] += value * network.weight1[i * kHidden + unit];
    }
    float sum = network.bias2;
    for (std::int64_t unit = 0; unit < kHidden; ++unit) {
      const float gelu = 0.5F * hidden[unit] * (1.0F + std::erf(hidden[unit] * 0.70710678F));
      sum += gelu * network.weight2[unit];
    }
    scores[entry] = sum;
  }
}

void keep(const float* scores, const bool* protect, std::int64_t count, std::int64_t evict,
          std::int32_t* kept) {
  std::vector<std::int32_t> order;
  for (std::int64_t entry = 0; entry < count; ++entry) {
    if (protect == nullptr || !protect[entry]) order.push_back(static_cast<std::int32_t>(entry));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t left, std::int32_t right) { return scores[left] > scores[right]; });
  std::vector<bool> goes(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < evict; ++i)
    goes[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = true;
  for (std::int64_t entry = 0; entry < count; ++entry) {
    if (!goes[static_cast<std::size_t>(entry)]) *kept++ = static_cast<std::int32_t>(entry);
  }
}

void compact(const Entries& entries, const std::int32_t* kept, std::int64_t count) {
  for (std::int64_t place = 0; place < count; ++place) {
    if (kept[place] != place) entries.move(kept[place], place);
  }
}

}  // namespace foresight::operators
