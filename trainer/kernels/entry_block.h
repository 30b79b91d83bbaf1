// The kernels of GPUs for entry_work.h, which a host can play too (tests/kernels/played_grid.h). No torch. A
// block has kRowThreads threads.
#pragma once

#include <cstddef>

#include "trainer/kernels/block_sums.h"
#include "trainer/kernels/entry_work.h"

namespace foresight::kernels {

/// One thread a number.
template <typename Number>
struct AppendBlock {
  static std::int64_t blocks(const AppendWork& work) {
    return blocks_for(work.rows * work.kv_heads * work.tokens * work.width);
  }
  static std::size_t shared_bytes(const AppendWork& /*work*/) { return 0; }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const AppendWork& work, Block& block) {
    const std::int64_t at = block.block() * kRowThreads + block.thread();
    if (at >= work.rows * work.kv_heads * work.tokens * work.width) return;
    const std::int64_t number = at % work.width, token = at / work.width % work.tokens,
                       head = at / (work.width * work.tokens), row = head / work.kv_heads,
                       own = head % work.kv_heads;
    const std::int64_t entry = head * work.capacity + work.live + token;
    narrow(work.keys[row * work.key_row + own * work.key_head + token * work.key_token + number],
           static_cast<Number*>(work.to_keys)[entry * work.width + number]);
    narrow(work.values[row * work.value_row + own * work.value_head + token * work.value_token + number],
           static_cast<Number*>(work.to_values)[entry * work.width + number]);
    if (number == 0) work.positions[entry] = work.seen + token;
  }
};

/// One block a KV head. Entries move towards the front, so that many can be read at once, and then written.
template <typename Number>
struct CompactBlock {
  static std::int64_t blocks(const CompactWork& work) { return work.rows * work.kv_heads; }
  static std::size_t shared_bytes(const CompactWork& work) {
    return static_cast<std::size_t>(work.budget + kRowThreads) * sizeof(std::int32_t) +
           static_cast<std::size_t>(work.budget + work.window);
  }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const CompactWork& work, Block& block) {
    const std::int64_t entries = work.budget + work.window, head = block.block();
    auto* const kept = static_cast<std::int32_t*>(block.shared());
    if (!list_kept(work, block, kept)) {
      if (block.thread() == 0) *work.wrong = 1;
      return;
    }
    constexpr int kTogether = Chunk<Number>::kNumbers;
    auto* const keys = static_cast<Number*>(work.keys) + head * work.capacity * work.width;
    auto* const values = static_cast<Number*>(work.values) + head * work.capacity * work.width;
    if (work.width % kTogether == 0) {
      move(block, kept, work.budget, reinterpret_cast<Chunk<Number>*>(keys), work.width / kTogether);
      move(block, kept, work.budget, reinterpret_cast<Chunk<Number>*>(values), work.width / kTogether);
    } else {
      move(block, kept, work.budget, keys, work.width);
      move(block, kept, work.budget, values, work.width);
    }
    move(block, kept, work.budget, work.positions + head * work.capacity, 1);
    for (std::int64_t query_head = head * work.group; query_head < (head + 1) * work.group; ++query_head) {
      float* const cumulative = work.cumulative + query_head * work.capacity;
      float* const decayed = work.decayed + query_head * work.capacity;
      move(block, kept, work.budget, cumulative, 1);
      move(block, kept, work.budget, decayed, 1);
      for (std::int64_t i = work.budget + block.thread(); i < entries; i += kRowThreads)
        cumulative[i] = decayed[i] = 0.0F;
    }
  }

 private:
  /// The entries that stay, in order, to kept[0 .. budget - 1]; false unless there are that many.
  template <typename Block>
  static FORESIGHT_BLOCK bool list_kept(const CompactWork& work, Block& block, std::int32_t* kept) {
    const auto entries = static_cast<int>(work.budget + work.window);
    std::int32_t* const counts = kept + work.budget;  // of each thread's part of the entries
    auto* const stays = reinterpret_cast<std::uint8_t*>(counts + kRowThreads);
    for (int i = block.thread(); i < entries; i += kRowThreads) stays[i] = 1;
    block.barrier();
    for (std::int64_t i = block.thread(); i < work.window; i += kRowThreads) {
      const std::int64_t entry = work.evicted[block.block() * work.window + i];
      if (entry >= 0 && entry < work.budget) stays[entry] = 0;
    }
    block.barrier();
    const int part = (entries + kRowThreads - 1) / kRowThreads;
    const int first = block.thread() * part, last = first + part < entries ? first + part : entries;
    std::int32_t count = 0;
    for (int i = first; i < last; ++i) count += stays[i];
    counts[block.thread()] = count;
    block.barrier();
    std::int32_t before = 0, all = 0;
    for (int thread = 0; thread < kRowThreads; ++thread) {
      if (thread < block.thread()) before += counts[thread];
      all += counts[thread];
    }
    if (all != work.budget) return false;
    for (int i = first; i < last; ++i) {
      if (stays[i] != 0) kept[before++] = i;
    }
    block.barrier();
    return true;
  }

  /// Entry j of `units` units each becomes entry kept[j], which is not before it.
  template <typename Unit, typename Block>
  static FORESIGHT_BLOCK void move(Block& block, const std::int32_t* kept, std::int64_t budget, Unit* data,
                                   std::int64_t units) {
    constexpr int kEach = 4;
    const std::int64_t count = budget * units;
    for (std::int64_t start = 0; start < count; start += kRowThreads * kEach) {
      Unit held[kEach];
      FORESIGHT_UNROLL for (int i = 0; i < kEach; ++i) {
        const std::int64_t at = start + i * kRowThreads + block.thread();
        if (at < count) held[i] = data[kept[at / units] * units + at % units];
      }
      block.barrier();
      FORESIGHT_UNROLL for (int i = 0; i < kEach; ++i) {
        const std::int64_t at = start + i * kRowThreads + block.thread();
        if (at < count) data[at] = held[i];
      }
      block.barrier();
    }
  }
};

/// The inputs of one entry, by number.
template <typename Number>
class EntryInputs {
 public:
  FORESIGHT_BLOCK EntryInputs(const FeatureWork& work, std::int64_t head, std::int64_t place)
      : of_(work),
        entry_(work.chosen == nullptr ? place : work.chosen[head * work.entries + place]),
        vector_((head * work.capacity + entry_) * work.width),
        sums_(head * work.group * work.capacity + entry_) {}

  FORESIGHT_BLOCK float key(std::int64_t number) const {
    return wide(static_cast<const Number*>(of_.keys)[vector_ + number]);
  }
  FORESIGHT_BLOCK float value(std::int64_t number) const {
    return wide(static_cast<const Number*>(of_.values)[vector_ + number]);
  }
  /// Kind 0 to 7, of a query head of the group.
  FORESIGHT_BLOCK float statistic(int kind, std::int64_t query_head) const {
    constexpr int kCumulative = 6;
    constexpr float kCoarse = 100.0F;
    float result = 0.0F;
    if (kind < kCumulative) {
      const std::int64_t which = kind > kSum && !of_.normalised ? static_cast<std::int64_t>(kSum) : kind;
      result = of_.statistics[sums_ * kStatistics - entry_ * (kStatistics - 1) +
                              (query_head * kStatistics + which) * of_.capacity];
    } else {
      result = (kind == kCumulative ? of_.cumulative : of_.decayed)[sums_ + query_head * of_.capacity];
    }
    return of_.normalised ? std::log1p(kCoarse * result) : result;
  }
  FORESIGHT_BLOCK float input(std::int64_t number) const {
    if (number < of_.width) return key(number);
    if (number < 2 * of_.width) return value(number - of_.width);
    const std::int64_t rest = number - 2 * of_.width;
    return statistic(static_cast<int>(rest / of_.group), rest % of_.group);
  }

 private:
  const FeatureWork& of_;
  std::int64_t entry_, vector_, sums_;
};

/// One thread an input.
template <typename Number>
struct GatherBlock {
  static std::int64_t blocks(const GatherWork& work) {
    return blocks_for(work.of.rows * work.of.kv_heads * work.of.entries * work.of.inputs);
  }
  static std::size_t shared_bytes(const GatherWork& /*work*/) { return 0; }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const GatherWork& work, Block& block) {
    const std::int64_t at = block.block() * kRowThreads + block.thread(), inputs = work.of.inputs;
    if (at >= work.of.rows * work.of.kv_heads * work.of.entries * inputs) return;
    const std::int64_t place = at / inputs;
    const EntryInputs<Number> entry(work.of, place / work.of.entries, place % work.of.entries);
    work.features[at] = entry.input(at % inputs);
  }
};

/// Calls add(input) with each input of an entry, in order.
template <typename Number, typename Add>
FORESIGHT_BLOCK void for_inputs(const ScoreWork& work, std::int64_t head, std::int64_t place,
                                const Add& add) {
  if (work.features != nullptr) {
    const float* const row = work.features + (head * work.of.entries + place) * work.of.inputs;
    for (std::int64_t i = 0; i < work.of.inputs; ++i) add(row[i]);
    return;
  }
  const EntryInputs<Number> entry(work.of, head, place);
  for (std::int64_t i = 0; i < work.of.width; ++i) add(entry.key(i));
  for (std::int64_t i = 0; i < work.of.width; ++i) add(entry.value(i));
  for (int kind = 0; kind < 8; ++kind) {
    for (std::int64_t query_head = 0; query_head < work.of.group; ++query_head)
      add(entry.statistic(kind, query_head));
  }
}

/// One thread an entry; a block's are of one KV head, whose weights lie in shared memory.
template <typename Number>
struct ScoreBlock {
  static std::int64_t blocks(const ScoreWork& work) {
    return work.of.rows * work.of.kv_heads * blocks_for(work.of.entries);
  }
  static std::size_t shared_bytes(const ScoreWork& work) {
    return static_cast<std::size_t>((work.of.inputs + 2) * kHiddenUnits) * sizeof(float);
  }

  template <typename Block>
  static FORESIGHT_BLOCK void run(const ScoreWork& work, Block& block) {
    const std::int64_t parts = (work.of.entries + kRowThreads - 1) / kRowThreads, inputs = work.of.inputs;
    const std::int64_t head = block.block() / parts, own = head % work.of.kv_heads,
                       place = block.block() % parts * kRowThreads + block.thread();
    auto* const weights = static_cast<float*>(block.shared());  // [F, hidden], then bias1, weight2
    load_weights(work, block, own, inputs, weights);
    if (place >= work.of.entries) return;
    float hidden[kHiddenUnits];
    const float *const biases = weights + inputs * kHiddenUnits, *const seconds = biases + kHiddenUnits;
    FORESIGHT_UNROLL for (int unit = 0; unit < kHiddenUnits; ++unit) hidden[unit] = biases[unit];
    const float* row = weights;
    for_inputs<Number>(work, head, place, [&hidden, &row](float input) {
      FORESIGHT_UNROLL for (int unit = 0; unit < kHiddenUnits; ++unit) hidden[unit] += input * row[unit];
      row += kHiddenUnits;
    });
    constexpr float kHalf = 0.5F, kRootOfHalf = 0.70710678F;
    float score = work.bias2[own];
    FORESIGHT_UNROLL for (int unit = 0; unit < kHiddenUnits; ++unit) {
      const float gelu = kHalf * hidden[unit] * (1.0F + std::erf(hidden[unit] * kRootOfHalf));
      score += gelu * seconds[unit];
    }
    work.scores[head * work.of.entries + place] = score;
  }

 private:
  /// Weights with the deviations in them, biases with the means.
  template <typename Block>
  static FORESIGHT_BLOCK void load_weights(const ScoreWork& work, Block& block, std::int64_t own,
                                           std::int64_t inputs, float* weights) {
    const float* const mean = work.mean + own * inputs;
    const float* const deviation = work.deviation + own * inputs;
    const float* const first = work.weight1 + own * inputs * kHiddenUnits;
    for (std::int64_t i = block.thread(); i < inputs * kHiddenUnits; i += kRowThreads)
      weights[i] = first[i] / deviation[i / kHiddenUnits];
    block.barrier();
    float* const biases = weights + inputs * kHiddenUnits;
    if (block.thread() < kHiddenUnits) {
      float shift = 0.0F;
      for (std::int64_t i = 0; i < inputs; ++i) shift += mean[i] * weights[i * kHiddenUnits + block.thread()];
      biases[block.thread()] = work.bias1[own * kHiddenUnits + block.thread()] - shift;
      biases[kHiddenUnits + block.thread()] = work.weight2[own * kHiddenUnits + block.thread()];
    }
    block.barrier();
  }
};

}  // namespace foresight::kernels
