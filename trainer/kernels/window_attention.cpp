#include "trainer/kernels/window_attention.h"

#include <ATen/Parallel.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/kernels/attention_tensors.h"
#include "trainer/kernels/launch.h"

namespace foresight::kernels {
namespace {

bool is_packed_float(const torch::Tensor& tensor, torch::IntArrayRef sizes) {
  return tensor.scalar_type() == torch::kFloat32 && tensor.is_contiguous() && tensor.sizes() == sizes;
}

bool fits(const WindowInput& input) {
  return fit_together(input.query, input.keys, input.values, input.live, input.sinks) && input.first >= 0 &&
         input.first + input.query.size(3) <= input.window &&
         suits_window_attention(input.query.device(), input.query.size(4));
}

/// The room of one thread, on whole registers.
class Room {
 public:
  explicit Room(const WindowWork& work)
      : stride_(padded_to_tiles(work.live)),
        keys_(stride_ * work.width),
        values_(work.live * padded_to_registers(work.width)),
        memory_(
            torch::empty({keys_ + values_ + kQueriesTogether * (stride_ + halves(work))}, torch::kFloat32)) {}

  WindowRoom floats() {
    auto* const begin = memory_.mutable_data_ptr<float>();  // torch aligns to 64 bytes
    return {.keys = begin,
            .values = begin + keys_,
            .scores = begin + keys_ + values_,
            .score_stride = stride_,
            .halves = begin + keys_ + values_ + kQueriesTogether * stride_};
  }

 private:
  /// Floats that a row of halves takes.
  std::int64_t halves(const WindowWork& work) const {
    return std::max(stride_, padded_to_registers(work.width)) / 2;
  }

  std::int64_t stride_, keys_, values_;
  torch::Tensor memory_;
};

void attend_on_cpu(const WindowWork& work, Processor processor) {
  const AttentionFunctions functions = functions_for(processor).attention;
  constexpr std::int64_t kWork =
      1 << 17;  // multiplications, below which waking a thread costs more than it saves
  const std::int64_t of_a_head = std::max<std::int64_t>(1, 2 * (work.tokens + 1) * work.live * work.width);
  at::parallel_for(0, work.rows * work.kv_heads * work.group, std::max<std::int64_t>(1, kWork / of_a_head),
                   [&](std::int64_t first, std::int64_t last) {
                     Room room(work);
                     functions.window_heads(work, room.floats(), first, last);
                   });
}

}  // namespace

bool suits_window_attention(const torch::Device& device, std::int64_t width) {
  const bool is_known = device.is_cpu() || has_gpu_kernels(device);
  return is_known && width <= kLargestWidth;
}

WindowWork describe(const WindowInput& input, torch::Tensor& output, torch::Tensor& statistics) {
  WindowWork work{describe_tensors(input.query, input.keys, input.values, input.live, input.sinks, output)};
  work.statistics = statistics.mutable_data_ptr<float>();
  work.first = input.first;
  work.window = input.window;
  return work;
}

WindowMeans attention_of_windows(const WindowInput& input) {
  const torch::Tensor& query = input.query;
  const std::int64_t rows = query.size(0), kv_heads = query.size(1), group = query.size(2),
                     tokens = query.size(3), windows = tokens / std::max<std::int64_t>(1, input.window);
  WindowInput together = input;  // as one window
  together.window = tokens;
  if (windows * input.window != tokens || input.first != 0 || !fits(together)) {
    throw Error(ErrorKind::kInternal,
                concat("attention of windows of ", input.window, ": queries ", query.sizes(), " do not fit ",
                       input.live, " entries of keys ", input.keys.sizes()));
  }
  torch::Tensor statistics =
      torch::empty({rows, windows, kv_heads, group, kStatistics, input.keys.size(2)}, query.options());
  torch::Tensor output = room_for_output(query);
  WindowInput even = input;
  even.query = with_even_heads(query);
  WindowWork work = describe(even, output, statistics);
  work.windows = windows;
  work.tokens = input.window;
  launch(work, query.device());
  const torch::Tensor sums = statistics.select(4, kSum).sum(3);  // [R, windows, K, N]
  return {output.transpose(1, 2), sums.transpose(1, 2).div_(static_cast<double>(group * input.window))};
}

torch::Tensor window_attention(const WindowInput& input, torch::Tensor& statistics, Processor processor) {
  const torch::Tensor& query = input.query;
  if (!fits(input) || !is_packed_float(statistics, {query.size(0), query.size(1), query.size(2), kStatistics,
                                                    input.keys.size(2)})) {
    throw Error(ErrorKind::kInternal,
                concat("window attention: queries ", query.sizes(), " from ", input.first, " of a window of ",
                       input.window, " do not fit ", input.live, " entries of keys ", input.keys.sizes(),
                       ", values ", input.values.sizes(), " and statistics ", statistics.sizes()));
  }
  torch::Tensor output = room_for_output(query);
  WindowInput even = input;
  even.query = with_even_heads(query);
  const WindowWork work = describe(even, output, statistics);
  if (has_gpu_kernels(query.device())) {
    launch(work, query.device());
  } else {
    attend_on_cpu(work, processor);
  }
  return output.transpose(1, 2);
}

namespace plain {
namespace {

/// softmax(q k^T / sqrt(d)) over the live entries: [R, K, g, T, n].
torch::Tensor probabilities_of(const WindowInput& input) {
  const torch::Tensor& query = input.query;
  const std::int64_t tokens = query.size(3), live = input.live;
  const torch::Tensor keys = input.keys.narrow(2, 0, live).to(query.scalar_type()).unsqueeze(2);
  torch::Tensor scores = torch::matmul(query, keys.transpose(3, 4));
  scores.mul_(1.0 / std::sqrt(static_cast<double>(query.size(4))));
  const torch::Tensor future = torch::ones({tokens, tokens}, scores.options().dtype(torch::kBool)).triu_(1);
  scores.narrow(4, live - tokens, tokens).masked_fill_(future, -std::numeric_limits<double>::infinity());
  if (!input.sinks.defined()) return torch::softmax(scores, -1);
  const torch::Tensor sinks = input.sinks.to(scores.options())
                                  .view({1, query.size(1), query.size(2), 1, 1})
                                  .expand({query.size(0), query.size(1), query.size(2), tokens, 1});
  return torch::softmax(torch::cat({scores, sinks}, 4), -1).narrow(4, 0, live);
}

}  // namespace

void observe(const torch::Tensor& probabilities, std::int64_t first, std::int64_t window,
             torch::Tensor& statistics) {
  const std::int64_t tokens = probabilities.size(3), live = probabilities.size(4), before = live - tokens;
  const bool begins = first == 0;
  if (!begins) statistics.narrow(4, before, tokens).zero_();
  const torch::Tensor now = statistics.narrow(4, 0, live);
  const auto take = [&](Statistic statistic, const torch::Tensor& value, const auto& combine) {
    torch::Tensor kept = now.select(3, statistic);  // [R, K, g, n]
    kept.copy_(begins ? value : combine(kept, value));
  };
  const auto add = [](const torch::Tensor& one, const torch::Tensor& other) { return one + other; };
  take(kMaximum, probabilities.amax(3),
       [](const auto& one, const auto& other) { return torch::maximum(one, other); });
  take(kMinimum, probabilities.amin(3),
       [](const auto& one, const auto& other) { return torch::minimum(one, other); });
  take(kSum, probabilities.sum(3), add);
  for (const PartialSum& partial : kPartialSums) {
    const std::int64_t earlier = std::clamp<std::int64_t>(window - partial.queries - first, 0, tokens);
    take(partial.statistic, probabilities.narrow(3, earlier, tokens - earlier).sum(3), add);
  }
}

torch::Tensor window_attention(const WindowInput& input, torch::Tensor& statistics) {
  const torch::Tensor probabilities = probabilities_of(input);
  observe(probabilities, input.first, input.window, statistics);
  const torch::Tensor values =
      input.values.narrow(2, 0, input.live).to(probabilities.scalar_type()).unsqueeze(2);
  return torch::matmul(probabilities, values).flatten(1, 2);
}

}  // namespace plain
}  // namespace foresight::kernels
