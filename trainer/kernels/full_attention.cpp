#include "trainer/kernels/full_attention.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/kernels/launch.h"

namespace foresight::kernels {
namespace {

/// Entries that few queries attend to at once. Fixed, so that the order of additions is too.
constexpr std::int64_t kChunk = 512;

/// Floats of the scores that a thread holds: half a megabyte, which stays in a core's own cache. Of long
/// caches more, as packed entries must meet several queries each time they are read.
constexpr std::int64_t kScores = std::int64_t{1} << 17, kLeastRows = 48, kMostRows = 96;

std::int64_t divide_up(std::int64_t number, std::int64_t divisor) {
  return (number + divisor - 1) / divisor;
}

bool is_vector(const torch::Tensor& tensor, torch::ScalarType type, std::int64_t size) {
  return !tensor.defined() || (tensor.scalar_type() == type && tensor.is_cpu() && tensor.is_contiguous() &&
                               tensor.sizes() == torch::IntArrayRef({size}));
}

bool fits(const FullInput& input) {
  const torch::Tensor &query = input.query, &keys = input.keys, &values = input.values;
  if (query.dim() != 5 || keys.dim() != 4 || query.scalar_type() != torch::kFloat32 || !query.is_cpu())
    return false;
  const std::int64_t rows = query.size(0), kv_heads = query.size(1), tokens = query.size(3),
                     width = query.size(4), capacity = keys.size(2);
  const bool caches_fit =
      (keys.scalar_type() == torch::kFloat32 || keys.scalar_type() == torch::kBFloat16) &&
      keys.is_contiguous() && keys.sizes() == torch::IntArrayRef({rows, kv_heads, capacity, width}) &&
      values.is_contiguous() && values.sizes() == keys.sizes() && values.scalar_type() == keys.scalar_type();
  return caches_fit && tokens >= 1 && tokens <= input.live && input.live <= capacity &&
         width <= kLargestWidth && (width == 1 || query.stride(4) == 1) &&
         is_vector(input.hidden, torch::kInt64, rows) &&
         is_vector(input.sinks, torch::kFloat32, kv_heads * query.size(2));
}

FullWork describe(const FullInput& input, torch::Tensor& output) {
  const torch::Tensor& query = input.query;
  const std::int64_t group = query.size(2), width = query.size(4);
  return {.query = query.const_data_ptr<float>(),
          .query_row = query.stride(0),
          .query_head = group == 1 ? query.stride(1) : query.stride(2),
          .query_token = query.stride(3),
          .keys = input.keys.const_data_ptr(),
          .values = input.values.const_data_ptr(),
          .bfloat16 = input.keys.scalar_type() == torch::kBFloat16,
          .output = output.mutable_data_ptr<float>(),
          .rows = query.size(0),
          .kv_heads = query.size(1),
          .group = group,
          .tokens = query.size(3),
          .width = width,
          .live = input.live,
          .capacity = input.keys.size(2),
          .hidden = input.hidden.defined() ? input.hidden.const_data_ptr<std::int64_t>() : nullptr,
          .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width))),
          .sinks = input.sinks.defined() ? input.sinks.const_data_ptr<float>() : nullptr};
}

/// Rooms of `threads` threads, each on whole registers.
class Rooms {
 public:
  Rooms(const FullWork& work, std::int64_t rows_together, std::int64_t entries, std::int64_t threads)
      : width_(padded_to_registers(work.width)), rows_(rows_together), stride_(padded_to_registers(entries)) {
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

/// The input with the heads of a row at one distance, copied where they are not.
FullInput with_even_heads(FullInput input) {
  if (input.query.stride(1) != input.query.size(2) * input.query.stride(2))
    input.query = input.query.contiguous();
  return input;
}

void require(bool holds, const FullInput& input) {
  if (holds) return;
  throw Error(ErrorKind::kInternal,
              concat("full attention: queries ", input.query.sizes(), " do not fit ", input.live,
                     " entries of keys ", input.keys.sizes(), " and values ", input.values.sizes()));
}

torch::Tensor room_for_output(const torch::Tensor& query) {
  return torch::empty({query.size(0), query.size(3), query.size(1) * query.size(2), query.size(4)},
                      query.options());
}

}  // namespace

bool suits_full_attention(const torch::Device& device, std::int64_t queries, std::int64_t width,
                          torch::ScalarType products) {
  const Processor processor = best_processor(products);
  if (!device.is_cpu() || width > kLargestWidth || processor < Processor::kAvx512) return false;
  if (products == torch::kFloat32) return queries > 1;
  return queries <= kFewQueries || !has_matrix_units();
}

torch::Tensor full_attention(const FullInput& input, Processor processor) {
  require(fits(input), input);
  const FullInput even = with_even_heads(input);
  torch::Tensor output = room_for_output(input.query);
  const FullWork work = describe(even, output);
  const AttentionFunctions functions = functions_for(processor);
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
  const FullInput even = with_even_heads(input);
  const torch::Tensor& query = input.query;
  torch::Tensor output = room_for_output(query);
  torch::Tensor means = torch::empty(
      {query.size(0), query.size(1), divide_up(query.size(3), window), input.keys.size(2)}, query.options());
  FullWork work = describe(even, output);
  work.window = window;
  work.means = means.mutable_data_ptr<float>();
  attend_many(work, functions_for(processor));
  return {output.transpose(1, 2), means};
}

}  // namespace foresight::kernels
