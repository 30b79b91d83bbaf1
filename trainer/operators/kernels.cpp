#include "trainer/operators/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <vector>

namespace foresight::operators {
namespace {

/// For processors of several generations in one library; which one runs is decided when it is loaded.
#define FORESIGHT_CLONES __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))

/// Sixteen numbers that the compiler keeps in as few registers as the processor allows.
using Lanes = float __attribute__((vector_size(kHidden * sizeof(float))));

/// products[e] = scale * (vector . entries[e]) for `count` entries of `width` numbers each. Sixteen partial
/// sums: the compiler may not change the order of a single one, and would add number by number.
FORESIGHT_CLONES void multiply(const float* vector, const float* entries, std::int64_t count,
                               std::int64_t width, float scale, float* products) {
  constexpr std::int64_t kLanes = 16;
  for (std::int64_t entry = 0; entry < count; ++entry) {
    const float* other = entries + entry * width;
    float sums[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += vector[i + lane] * other[i + lane];
    }
    for (; i < width; ++i) sums[i % kLanes] += vector[i] * other[i];
    for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::int64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    }
    products[entry] = scale * sums[0];
  }
}

/// hidden [16] += features [inputs] times weights [inputs, 16].
FORESIGHT_CLONES void add_products(const float* features, const float* weights, std::int64_t inputs,
                                   float* hidden) {
  constexpr std::int64_t kChains = 4;  // sums that do not wait for each other
  Lanes sums[kChains] = {};
  for (std::int64_t i = 0; i < inputs; ++i) {
    Lanes row;
    std::memcpy(&row, weights + i * kHidden, sizeof(row));
    sums[i % kChains] += features[i] * row;
  }
  const Lanes sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (std::int64_t unit = 0; unit < kHidden; ++unit) hidden[unit] += sum[unit];
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

/// The network's score of one entry.
float evaluate(const Network& network, const float* features, std::int64_t inputs) {
  float hidden[kHidden];
  std::copy_n(network.bias1, kHidden, hidden);
  add_products(features, network.weight1, inputs, hidden);
  float sum = network.bias2;
  for (std::int64_t unit = 0; unit < kHidden; ++unit) {
    const float gelu = 0.5F * hidden[unit] * (1.0F + std::erf(hidden[unit] * 0.70710678F));
    sum += gelu * network.weight2[unit];
  }
  return sum;
}

/// Serving features of one entry and query head from the attention of `tokens` queries to it, oldest first
/// and `stride` numbers apart; written `group` numbers apart, in candidate_features()'s order.
void serving_statistics(const float* attention, std::int64_t tokens, std::int64_t stride, std::int64_t group,
                        float* out) {
  constexpr std::int64_t kLast[] = {kServingQueries, 4, 2, 1};
  float highest = attention[0], lowest = attention[0], logarithms = 0;
  float sums[std::size(kLast)] = {};
  for (std::int64_t token = 0; token < tokens; ++token) {
    const float each = attention[token * stride];
    highest = std::max(highest, each);
    lowest = std::min(lowest, each);
    logarithms += std::log1p(each * kFine);
    for (std::size_t i = 0; i < std::size(kLast); ++i) sums[i] += token >= tokens - kLast[i] ? each : 0;
  }
  const float found[kStatistics] = {std::log1p(highest * kCoarse),           std::log1p(sums[0] * kCoarse),
                                    std::log1p(sums[1] * kCoarse),           std::log1p(sums[2] * kCoarse),
                                    std::log1p(sums[3] * kCoarse),           std::log1p(highest * kFine),
                                    logarithms / static_cast<float>(tokens), std::log1p(lowest * kFine)};
  for (std::int64_t i = 0; i < kStatistics; ++i) out[i * group] = found[i];
}

/// The window's statistics of one query head, number by number for all entries [6, live]: a query changes all
/// entries, which lie too far apart in the cache to be gone through query by query.
class WindowStatistics {
 public:
  WindowStatistics(const Entries& statistics, std::int64_t live, std::int64_t group, std::int64_t head)
      : cache_(statistics), live_(live), group_(group), head_(head) {
    numbers_.resize(static_cast<std::size_t>(kWindowStatistics * live));
    for (std::int64_t entry = 0; entry < live; ++entry) {
      const float* own = cache_.floats(entry) + head;
      for (std::int64_t i = 0; i < kWindowStatistics; ++i) row(i)[entry] = own[i * group];
    }
  }

  /// Takes in the attention of query `query` of a window of `window` to the first `visible` entries.
  void take(const float* attention, std::int64_t visible, std::int64_t query, std::int64_t window) {
    if (query == 0) {
      for (std::int64_t i = 0; i < kWindowStatistics; ++i) {
        if (i == kMaximum || i == kMinimum) {
          std::copy_n(attention, visible, row(i));
        } else {
          std::fill_n(row(i), visible, 0.0F);
        }
      }
    }
    float *highest = row(kMaximum), *lowest = row(kMinimum);
    for (std::int64_t entry = 0; entry < visible; ++entry) {
      highest[entry] = std::max(highest[entry], attention[entry]);
      lowest[entry] = std::min(lowest[entry], attention[entry]);
    }
    add(attention, visible, row(kSum));
    for (const auto& [statistic, last] : kPartial) {
      if (query >= window - last) add(attention, visible, row(statistic));
    }
  }

  /// Back to the cache.
  void store() {
    for (std::int64_t entry = 0; entry < live_; ++entry) {
      float* own = cache_.floats(entry) + head_;
      for (std::int64_t i = 0; i < kWindowStatistics; ++i) own[i * group_] = row(i)[entry];
    }
  }

 private:
  float* row(std::int64_t statistic) { return numbers_.data() + statistic * live_; }
  static void add(const float* attention, std::int64_t count, float* sums) {
    for (std::int64_t i = 0; i < count; ++i) sums[i] += attention[i];
  }

  Entries cache_;
  std::int64_t live_, group_, head_;
  std::vector<float> numbers_;
};

}  // namespace

void observe(const Observation& now, const Entries& keys, const Entries& statistics) {
  const std::int64_t width = keys.width, before = now.live - now.tokens;
  std::vector<float> all(static_cast<std::size_t>(now.live * width));
  for (std::int64_t entry = 0; entry < now.live; ++entry) keys.read(entry, all.data() + entry * width);
  for (std::int64_t entry = before; entry < now.live; ++entry) {
    std::fill_n(statistics.floats(entry), kStatistics * now.group, 0.0F);
  }
  std::vector<float> attention(static_cast<std::size_t>(now.live));
  for (std::int64_t head = 0; head < now.group; ++head) {
    WindowStatistics window(statistics, now.live, now.group, head);
    for (std::int64_t token = 0; token < now.tokens; ++token) {
      const std::int64_t visible = before + token + 1;
      const float* vector = now.queries + token * now.token_stride + head * now.head_stride;
      multiply(vector, all.data(), visible, width, now.scale, attention.data());
      softmax(attention.data(), visible);
      window.take(attention.data(), visible, now.first + token, now.window);
    }
    window.store();
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
      features[static_cast<std::size_t>(2 * width + i)] = released ? value : std::log1p(value * kCoarse);
    }
    scores[entry] = evaluate(network, features.data(), inputs);
  }
}

void score_serving(const Observation& recent, const Entries& keys, const Entries& values, std::int64_t count,
                   const Network& network, float* scores) {
  const std::int64_t width = keys.width, group = recent.group, inputs = 2 * width + kStatistics * group;
  std::vector<float> all(static_cast<std::size_t>(recent.live * width));
  for (std::int64_t entry = 0; entry < recent.live; ++entry) keys.read(entry, all.data() + entry * width);
  std::vector<float> features(static_cast<std::size_t>(count * inputs));
  std::vector<float> attention(static_cast<std::size_t>(recent.tokens * recent.live));
  for (std::int64_t head = 0; head < group; ++head) {
    for (std::int64_t token = 0; token < recent.tokens; ++token) {
      const std::int64_t visible = recent.live - recent.tokens + token + 1;
      float* own = attention.data() + token * recent.live;
      multiply(recent.queries + token * recent.token_stride + head * recent.head_stride, all.data(), visible,
               width, recent.scale, own);
      softmax(own, visible);
    }
    for (std::int64_t entry = 0; entry < count; ++entry) {
      serving_statistics(attention.data() + entry, recent.tokens, recent.live, group,
                         features.data() + entry * inputs + 2 * width + head);
    }
  }
  for (std::int64_t entry = 0; entry < count; ++entry) {
    float* own = features.data() + entry * inputs;
    std::copy_n(all.data() + entry * width, width, own);
    values.read(entry, own + width);
    scores[entry] = evaluate(network, own, inputs);
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
