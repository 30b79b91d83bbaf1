// Attention of a window with the statistics that evictions are decided by, in one function.
#pragma once

#include <torch/types.h>

#include "trainer/kernels/processor.h"
#include "trainer/kernels/window_work.h"

namespace foresight::kernels {

/// Queries of a window, T at a time, and the cache that they attend to.
struct WindowInput {
  torch::Tensor query;         ///< [R, K, g, T, d] float32, the last dimension without gaps
  torch::Tensor keys, values;  ///< [R, K, N, d] contiguous, both float32 or both bfloat16
  std::int64_t live = 0;       ///< of the N entries; the last T of them are the queries' own
  std::int64_t first = 0;      ///< place in the window of the first of the T queries
  std::int64_t window = 0;     ///< queries of the complete window
  torch::Tensor sinks = {};    ///< [K g] float32: e^sink stands in the softmax's denominator; undefined: none
};

/// Whether window_attention() takes heads of `width` numbers on `device`.
bool suits_window_attention(const torch::Device& device, std::int64_t width);

/// Causal attention of the queries over the live entries. Takes the probabilities into `statistics` [R, K, g,
/// 6, N] float32, contiguous (Statistic): with the window's first query they begin anew, those of new entries
/// at zero, as what is not seen gets 0. Arithmetic is in float32, but that processors and tensor cores for
/// bfloat16 round queries and probabilities to bfloat16; probabilities never leave a core's cache. Returns
/// [R, K g, T, d] float32, of which [R, T, K g, d] is contiguous.
///
/// On a CPU, values depend on neither the number of threads nor how many queries come together. Throws
/// Error(kInternal) unless the shapes fit and suits_window_attention(), Error(kResource) for what CUDA
/// refuses.
torch::Tensor window_attention(const WindowInput& input, torch::Tensor& statistics,
                               Processor processor = best_processor(torch::kFloat32));

/// Of a full pass, what the oracle records: the output, and for each window the mean attention of its queries
/// and of the query heads of the group.
struct WindowMeans {
  torch::Tensor output;  ///< [R, K g, T, d] as of window_attention()
  torch::Tensor means;   ///< [R, K, windows, N] float32; undetermined where a window does not see an entry
};

/// Causal attention of whole windows of `input.window` queries, one after the other, to the live entries
/// before and among them, in one launch; the probabilities stay in shared memory. For devices with kernels of
/// GPUs. Throws as window_attention().
WindowMeans attention_of_windows(const WindowInput& input);

/// The same on bare memory. `output` [R, T, K g, d].
WindowWork describe(const WindowInput& input, torch::Tensor& output, torch::Tensor& statistics);

/// The same from torch's operators, through the probabilities.
namespace plain {

/// Takes `probabilities` [R, K, g, T, n], of queries from the place `first` of a window of `window`, into
/// `statistics` [R, K, g, 6, N] of their type, N >= n, as window_attention() does.
void observe(const torch::Tensor& probabilities, std::int64_t first, std::int64_t window,
             torch::Tensor& statistics);

/// window_attention() in the type of the queries: its test.
torch::Tensor window_attention(const WindowInput& input, torch::Tensor& statistics);

}  // namespace plain
}  // namespace foresight::kernels
