// Window attention of one query head by one block of threads: the kernel of GPUs, which a host can play too
// (tests/kernels/played_grid.h). No torch.
//
// A block goes over 64 queries at a time. Its first sweep over the entries finds each query's softmax sum;
// the second computes the products again, and from the probabilities the output and the statistics.
// Probabilities only live in shared memory. Products of bfloat16 round queries and probabilities to bfloat16
// too.
//
// Block is what threads need of the hardware: block() and thread(), the number of each; shared(), the block's
// shared memory; barrier() of the block and warp_barrier() of a warp; exchange(value, mask), the value of the
// thread of this warp whose number differs in the bits of `mask`.
#pragma once

#include "trainer/kernels/block_tile.h"
#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

inline constexpr int kBlockThreads = 128, kBlockQueries = kBlockThreads / kWarp * kTile;

/// Shared memory of a block for keys and values of type Number and heads of at most kWidth numbers.
template <typename Number, int kWidth>
struct WindowShared {
  static constexpr int kEntries = sizeof(Number) == 2 ? 64 : 32;  // of the cache at a time
  static constexpr int kStride = kWidth + Chunk<Number>::kNumbers, kScoreStride = kEntries + 4,
                       kWeightStride = kEntries + Chunk<Number>::kNumbers;
  alignas(128) Number queries[kBlockQueries * kStride];
  alignas(128) Number entries[kEntries * kStride];  // keys, then values
  alignas(128) Number weights[kBlockQueries * kWeightStride];
  alignas(128) float scores[kBlockQueries * kScoreStride];
};

template <typename Number, int kWidth, typename Block>
class WindowBlock {
 public:
  FORESIGHT_BLOCK WindowBlock(const WindowWork& work, Block& block)
      : of_(work),
        block_(block),
        shared_(*static_cast<Shared*>(block.shared())),
        warp_(block.thread() / kWarp),
        lane_(block.thread() % kWarp),
        row_(warp_ * kTile + lane_ / 2) {
    const std::int64_t heads = work.kv_heads * work.group, own = block.block() % heads,
                       place = block.block() / heads;  // of all windows, row by row
    const std::int64_t row = place / work.windows, window = place % work.windows;
    before_ = work.live - (work.windows - window) * work.tokens;
    query_ =
        work.query + row * work.query_row + own * work.query_head + window * work.tokens * work.query_token;
    const std::int64_t entries = (row * work.kv_heads + own / work.group) * work.capacity * work.width;
    keys_ = static_cast<const Number*>(work.keys) + entries;
    values_ = static_cast<const Number*>(work.values) + entries;
    output_ = work.output + (place * work.tokens * heads + own) * work.width;
    statistics_ = work.statistics + block.block() * kStatistics * work.capacity;
    sink_ = work.sinks == nullptr ? nullptr : work.sinks + own;
  }

  FORESIGHT_BLOCK void run() {
    for (std::int64_t first = 0; first < of_.tokens; first += kBlockQueries) {
      first_ = first;
      const std::int64_t last = first + kBlockQueries < of_.tokens ? first + kBlockQueries : of_.tokens;
      visible_ = before_ + last;
      own_visible_ = first + row_ < of_.tokens ? before_ + first + row_ + 1 : 0;
      block_.barrier();
      load_queries();
      find_sums();
      attend();
    }
  }

 private:
  using Shared = WindowShared<Number, kWidth>;
  static constexpr int kEntries = Shared::kEntries, kStride = Shared::kStride,
                       kScoreStride = Shared::kScoreStride, kWeightStride = Shared::kWeightStride;
  static constexpr float kLowest = -3.0e38F, kUnbounded = 3.0e38F, kLog2E = 1.44269504F;

  FORESIGHT_BLOCK void load_queries() {
    for (int i = block_.thread(); i < kBlockQueries * kWidth; i += kBlockThreads) {
      const int query = i / kWidth, number = i % kWidth;
      const bool exists = first_ + query < of_.tokens && number < of_.width;
      narrow(exists ? query_[(first_ + query) * of_.query_token + number] : 0.0F,
             shared_.queries[query * kStride + number]);
    }
  }

  /// Entries first .. of `from` to shared memory; what does not exist is 0.
  FORESIGHT_BLOCK void load_entries(const Number* from, std::int64_t first) {
    constexpr int kTogether = Chunk<Number>::kNumbers;
    const bool in_chunks = of_.width % kTogether == 0;
    for (int i = block_.thread(); i < kEntries * kWidth / kTogether; i += kBlockThreads) {
      const int entry = i / (kWidth / kTogether), number = i % (kWidth / kTogether) * kTogether;
      Number* const to = shared_.entries + entry * kStride + number;
      const Number* const source = from + (first + entry) * of_.width + number;
      const std::int64_t there = first + entry < of_.live ? of_.width - number : 0;
      if (in_chunks && there > 0) {
        *reinterpret_cast<Chunk<Number>*>(to) = *reinterpret_cast<const Chunk<Number>*>(source);
      } else {
        for (int k = 0; k < kTogether; ++k) narrow(k < there ? wide(source[k]) : 0.0F, to[k]);
      }
    }
  }

  /// Products of this warp's 16 queries with the entries in shared memory.
  FORESIGHT_BLOCK void multiply() {
    const Number* const queries = shared_.queries + warp_ * kTile * kStride;
    for (int column = 0; column < kEntries; column += kTile) {
      Tile<Number> tile;
      tile.clear();
      for (int number = 0; number < kWidth; number += kTile) {
        tile.add_transposed(lane_, queries + number, kStride, shared_.entries + column * kStride + number,
                            kStride);
      }
      tile.store(lane_, shared_.scores + warp_ * kTile * kScoreStride + column, kScoreStride);
    }
    block_.warp_barrier();
  }

  /// The first sweep: largest_ and share_ of this thread's query. Two threads have one query, half the
  /// entries each.
  FORESIGHT_BLOCK void find_sums() {
    constexpr int kHalf = kEntries / 2;
    const float factor = of_.scale * kLog2E;
    // A sink is one more product, which the first of the two takes.
    const bool has_sink = sink_ != nullptr && lane_ % 2 == 0;
    float largest = has_sink ? *sink_ * kLog2E : kLowest, sum = has_sink ? 1.0F : 0.0F;
    for (std::int64_t first = 0; first < visible_; first += kEntries) {
      load_entries(keys_, first);
      block_.barrier();
      multiply();
      const float* const scores = shared_.scores + row_ * kScoreStride + lane_ % 2 * kHalf;
      const std::int64_t seen = own_visible_ - first - lane_ % 2 * kHalf;
      for (int i = 0; i < kHalf && i < seen; ++i) {
        const float score = scores[i] * factor;
        if (score > largest) {
          sum *= std::exp2(largest - score);
          largest = score;
        }
        sum += std::exp2(score - largest);
      }
      block_.barrier();
    }
    const float other_largest = block_.exchange(largest, 1), other_sum = block_.exchange(sum, 1);
    largest_ = other_largest > largest ? other_largest : largest;
    sum = sum * std::exp2(largest - largest_) + other_sum * std::exp2(other_largest - largest_);
    share_ = 1.0F / sum;
  }

  /// Products in shared memory to probabilities, as float32 and as the products with values read them.
  FORESIGHT_BLOCK void make_probabilities(std::int64_t first) {
    constexpr int kHalf = kEntries / 2;
    const float factor = of_.scale * kLog2E;
    float* const scores = shared_.scores + row_ * kScoreStride + lane_ % 2 * kHalf;
    Number* const weights = shared_.weights + row_ * kWeightStride + lane_ % 2 * kHalf;
    const std::int64_t seen = own_visible_ - first - lane_ % 2 * kHalf;
    for (int i = 0; i < kHalf; ++i) {
      const float probability = i < seen ? std::exp2(scores[i] * factor - largest_) * share_ : 0.0F;
      scores[i] = probability;
      narrow(probability, weights[i]);
    }
  }

  /// The second sweep.
  FORESIGHT_BLOCK void attend() {
    constexpr int kColumns = kWidth / kTile;
    Tile<Number> sums[kColumns];
    FORESIGHT_UNROLL for (int column = 0; column < kColumns; ++column) sums[column].clear();
    const Number* const weights = shared_.weights + warp_ * kTile * kWeightStride;
    for (std::int64_t first = 0; first < visible_; first += kEntries) {
      load_entries(keys_, first);
      block_.barrier();
      multiply();
      make_probabilities(first);
      block_.barrier();
      load_entries(values_, first);
      observe(first);
      block_.barrier();
      FORESIGHT_UNROLL for (int column = 0; column < kColumns; ++column) {
        for (int entry = 0; entry < kEntries; entry += kTile) {
          sums[column].add(lane_, weights + entry, kWeightStride,
                           shared_.entries + entry * kStride + column * kTile, kStride);
        }
      }
      block_.barrier();
    }
    float* const block = shared_.scores + warp_ * kTile * kScoreStride;
    FORESIGHT_UNROLL for (int column = 0; column < kColumns; ++column) {
      sums[column].store(lane_, block, kScoreStride);
      block_.warp_barrier();
      write_output(block, column * kTile);
      block_.warp_barrier();
    }
  }

  /// This warp's queries, numbers first .. first + 15 of each.
  FORESIGHT_BLOCK void write_output(const float* block, int first) {
    const std::int64_t query_stride = of_.kv_heads * of_.group * of_.width;
    for (int i = lane_; i < kTile * kTile; i += kWarp) {
      const std::int64_t token = first_ + warp_ * kTile + i / kTile;
      const int number = first + i % kTile;
      if (token < of_.tokens && number < of_.width)
        output_[token * query_stride + number] = block[i / kTile * kScoreStride + i % kTile];
    }
  }

  /// Takes the probabilities into the statistics of entries first ..., one thread for each, query by query.
  FORESIGHT_BLOCK void observe(std::int64_t first) {
    const std::int64_t entry = first + block_.thread();
    if (block_.thread() >= kEntries || entry >= visible_) return;
    // Entries of which there are statistics: of earlier queries, of this call or before it.
    const std::int64_t known = first_ > 0 ? before_ + first_ : of_.first > 0 ? before_ : 0;
    const bool seen_by_all = of_.first == 0 && entry <= before_;
    float own[kStatistics];
    for (int i = 0; i < kStatistics; ++i) {
      own[i] = entry < known                  ? statistics_[i * of_.capacity + entry]
               : i == kMinimum && seen_by_all ? kUnbounded
                                              : 0.0F;
    }
    for (int query = 0; query < kBlockQueries && first_ + query < of_.tokens; ++query) {
      const float probability = shared_.scores[query * kScoreStride + block_.thread()];
      if (probability > own[kMaximum]) own[kMaximum] = probability;
      if (probability < own[kMinimum]) own[kMinimum] = probability;
      own[kSum] += probability;
      const std::int64_t left =
          of_.window - of_.first - first_ - query;  // queries of the window from this one
      if (left <= 8) own[kLast8] += probability;
      if (left <= 16) own[kLast16] += probability;
      if (left <= 32) own[kLast32] += probability;
    }
    for (int i = 0; i < kStatistics; ++i) statistics_[i * of_.capacity + entry] = own[i];
  }

  const WindowWork& of_;
  Block& block_;
  Shared& shared_;
  int warp_, lane_, row_;  // row_: this thread's query among the 64
  std::int64_t before_ = 0, first_ = 0, visible_ = 0, own_visible_ = 0;
  float largest_ = 0.0F, share_ = 0.0F;
  const float *query_, *sink_;
  const Number *keys_, *values_;
  float *output_, *statistics_;
};

}  // namespace foresight::kernels
