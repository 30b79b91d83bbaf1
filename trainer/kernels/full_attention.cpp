#include "trainer/kernels/full_attention.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>

#include "trainer/base/divide_up.h"
#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/kernels/attention_tensors.h"
#include "trainer/kernels/launch.h"

namespace foresight::kernels {
namespace {

/// Entries that few queries attend to at once. Fixed, so that the order of additions is too.
constexpr std::int64_t kChunk = 512;

/// Floats of the scores that a thread holds: half a megabyte, which stays in a core's own cache. Of long
/// caches more, as packed entries must meet several queries each time they are read.
constexpr std::int64_t kScores = std::int64_t{1} << 17, kLeastRows = 48, kMostRows = 96;

bool fits(const FullInput& input) {
  const torch::Tensor& hidden = input.hidden;
  if (!fit_together(input.query, input.keys, input.values, input.live, input.sinks) || !input.query.is_cpu())
    return false;
  return !hidden.defined() || (hidden.scalar_type() == torch::kInt64 && hidden.is_cpu() &&
                               hidden.is_contiguous() && hidden.sizes() == input.query.sizes().slice(0, 1));
}

/// Of queries with even heads.
FullWork describe(const FullInput& input, torch::Tensor& output) {
  FullWork work{describe_tensors(input.query, input.keys, input.values, input.live, input.sinks, output)};
  if (input.hidden.defined()) work.hidden = input.hidden.const_data_ptr<std::int64_t>();
  return work;
}

/// Rooms of `threads` threads, each on whole registers.
class Rooms {
 public:
  Rooms(const FullWork& work, std::int64_t rows_together, std::int64_t entries, std::int64_t threads)
      : width_(padded_to_registers(work.width)),
        rows_(divide_up(rows_together, kQueriesTogether) * kQueriesTogether),
        stride_(padded_to_registers(entries)) {
    const std::int64_t floats =
        rows_ * (2 * width_ + stride_) + kQueriesTogether * kEntriesTogether + stride_;
    memory_ = torch::empty({threads, padded_to_registers(floats)}, torch::kFloat32);
  }

  FullRoom of(std::int64_t thread) const {
    float* const queries = memory_.mutable_data_ptr<float>() + thread * memory_.stride(0);
    float* const scores = queries + rows_ * width_;
    float* const sums = scores + rows_ * stride_;
    float* const rounded = sums + rows_ * width_;
    return {.rows_together = rows_,
            .score_stride = stride_,
            .queries = queries,
            .scores = scores,
            .sums = sums,
            .rounded = rounded,
            .columns = rounded + kQueriesTogether * kEntriesTogether};
  }

 private:
  std::int64_t width_, rows_, stride_;
  torch::Tensor memory_;
};

/// Keys and values of `entries`, packed.
class Packed {
 public:
  Packed(const FullWork& work, std::int64_t entries)
      : keys_(divide_up(entries, kEntriesTogether) * kEntriesTogether * work.width),
        memory_(torch::empty({keys_ + divide_up(entries, kEntriesTogether) * kEntriesTogether *
                                          padded_to_registers(work.width)},
                             torch::kFloat32)) {}

  PackedEntries floats() const {
    auto* const begin = memory_.mutable_data_ptr<float>();
    return {.keys = begin, .values = begin + keys_};
  }

 private:
  std::int64_t keys_;
  torch::Tensor memory_;
};

/// Parts of the work in turn, so that the later ones, which see more entries, are shared too.
template <typename Work>
void in_turn(std::int64_t parts, const Work& work) {
  const std::int64_t threads = std::min<std::int64_t>(parts, at::get_num_threads());
  at::parallel_for(0, threads, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t thread = first; thread < last; ++thread) {
      for (std::int64_t part = thread; part < parts; part += threads) work(thread, part);
    }
  });
}

void attend_many(const FullWork& work, const AttentionFunctions& functions) {
  const std::int64_t most = std::clamp(kScores / padded_to_registers(work.live), kLeastRows, kMostRows);
  const std::int64_t rows_together = most / kQueriesTogether * kQueriesTogether;
  const std::int64_t shares = divide_up(work.tokens, at::get_num_threads());
  const std::int64_t step = work.means != nullptr
                                ? work.window
                                : std::max<std::int64_t>(1, std::min(shares, rows_together / work.group));
  const std::int64_t parts = divide_up(work.tokens, step), tiles = divide_up(work.live, kEntriesTogether);
  const Rooms rooms(work, rows_together, work.live, std::min<std::int64_t>(parts, at::get_num_threads()));
  const Packed packed(work, work.live);
  for (std::int64_t row = 0; row < work.rows; ++row) {
    for (std::int64_t kv_head = 0; kv_head < work.kv_heads; ++kv_head) {
      at::parallel_for(0, tiles, 4, [&](std::int64_t first, std::int64_t last) {
        functions.pack_tiles(work, row, kv_head, first, last, packed.floats());
      });
      in_turn(parts, [&](std::int64_t thread, std::int64_t part) {
        functions.attend_tokens(work, row, kv_head, packed.floats(), rooms.of(thread), part * step,
                                std::min(step, work.tokens - part * step));
      });
    }
  }
}

/// The sums of all chunks, those of a head together.
class Chunks {
 public:
  Chunks(const FullWork& work, std::int64_t count)
      : rows_(count * work.tokens * work.group),
        width_(padded_to_registers(work.width)),
        memory_(torch::empty({work.rows * work.kv_heads, rows_ * (width_ + 2)}, torch::kFloat32)) {}

  /// Of `chunk` of the `head`-th of all KV heads, with the next ones behind.
  ChunkSums from(std::int64_t head, std::int64_t first_row) const {
    float* const begin = memory_.mutable_data_ptr<float>() + head * memory_.stride(0);
    return {.values = begin + first_row * width_,
            .weights = begin + rows_ * width_ + first_row,
            .largest = begin + rows_ * (width_ + 1) + first_row};
  }

 private:
  std::int64_t rows_, width_;
  torch::Tensor memory_;
};

void attend_few(const FullWork& work, const AttentionFunctions& functions) {
  const std::int64_t chunks = divide_up(work.live, kChunk), queries = work.tokens * work.group,
                     heads = work.rows * work.kv_heads;
  const Chunks sums(work, chunks);
  at::parallel_for(0, heads * chunks, 1, [&](std::int64_t first, std::int64_t last) {
    const Rooms room(work, queries, std::min(kChunk, work.live), 1);
    const Packed tile(work, kEntriesTogether);
    for (std::int64_t part = first; part < last; ++part) {
      const std::int64_t head = part / chunks, chunk = part % chunks;
      functions.attend_chunk(work, head / work.kv_heads, head % work.kv_heads, room.of(0), tile.floats(),
                             chunk * kChunk, kChunk, sums.from(head, chunk * queries));
    }
  });
  constexpr std::int64_t kHeadsTogether = 16;
  at::parallel_for(0, heads, kHeadsTogether, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t head = first; head < last; ++head)
      functions.merge_chunks(work, head / work.kv_heads, head % work.kv_heads, sums.from(head, 0), chunks);
  });
}

void require(bool holds, const FullInput& input) {
  if (holds) return;
  throw Error(ErrorKind::kInternal,
              concat("full attention: queries ", input.query.sizes(), " do not fit ", input.live,
                     " entries of keys ", input.keys.sizes(), " and values ", input.values.sizes()));
}

}  // namespace

bool suits_full_attention(const torch::Device& device, std::int64_t queries, std::int64_t width,
                          torch::ScalarType products) {
  const Processor processor = best_processor(products);
  if (!device.is_cpu() || width > kLargestWidth || processor < Processor::kAvx512) return false;
  if (products == torch::kFloat32) return queries > 1;
  // Of many queries torch uses units for matrices too, where the kernel's tiles do not fit.
  return processor != Processor::kAmx || queries <= kFewQueries || padded_to_tiles(width) == width;
}

torch::Tensor full_attention(const FullInput& input, Processor processor) {
  require(fits(input), input);
  FullInput even = input;
  even.query = with_even_heads(input.query);
  torch::Tensor output = room_for_output(input.query);
  const FullWork work = describe(even, output);
  const AttentionFunctions functions = functions_for(processor).attention;
  work.tokens* work.group <= kFewQueries ? attend_few(work, functions) : attend_many(work, functions);
  return output.transpose(1, 2);
}

bool suits_attention_means(const torch::Device& device, std::int64_t width) {
  return has_gpu_kernels(device)
             ? suits_window_attention(device, width)
             : device.is_cpu() && width <= kLargestWidth && usable_processors().back() != Processor::kAny;
}

std::int64_t numbers_of_means(const torch::Device& device, std::int64_t group) {
  return has_gpu_kernels(device) ? group * kStatistics : 1;
}

WindowMeans attention_means(const FullInput& input, std::int64_t window, Processor processor) {
  if (has_gpu_kernels(input.query.device())) {
    return attention_of_windows({.query = input.query,
                                 .keys = input.keys,
                                 .values = input.values,
                                 .live = input.live,
                                 .first = 0,
                                 .window = window,
                                 .sinks = input.sinks});
  }
  require(fits(input) && window >= 1 && !input.hidden.defined(), input);
  FullInput even = input;
  even.query = with_even_heads(input.query);
  const torch::Tensor& query = input.query;
  torch::Tensor output = room_for_output(query);
  torch::Tensor means = torch::empty(
      {query.size(0), query.size(1), divide_up(query.size(3), window), input.keys.size(2)}, query.options());
  FullWork work = describe(even, output);
  work.window = window;
  work.means = means.mutable_data_ptr<float>();
  attend_many(work, functions_for(processor).attention);
  return {output.transpose(1, 2), means};
}

}  // namespace foresight::kernels
