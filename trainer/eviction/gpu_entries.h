// What a cache does with its entries on a GPU, one launch each (trainer/kernels/entry_work.h). Nobody waits.
#pragma once

#include <torch/types.h>

#include "trainer/kernels/entry_work.h"

namespace foresight {

/// The buffers of one layer: keys and values [R, K, N, d], positions [R, K, N] int64.
struct EntryBuffers {
  torch::Tensor keys, values, positions;
};

/// Two sums for every entry, [R, K, g, N] float32 each.
struct EntrySums {
  torch::Tensor cumulative, decayed;
};

/// Writes new tokens, keys and values [R, K, T, d] float32, behind the `live` entries; their positions begin
/// at `seen`.
void append_on_gpu(const EntryBuffers& to, std::int64_t live, std::int64_t seen, const torch::Tensor& key,
                   const torch::Tensor& value);

/// Takes `evicted` [R, K, W] out of budget + W entries; the others move together, and the sums end in zeros.
/// `wrong` [] int32 becomes 1, and the head stays as it is, where those are no W of the first `budget`.
void compact_on_gpu(const EntryBuffers& buffers, const EntrySums& sums, const torch::Tensor& evicted,
                    std::int64_t budget, torch::Tensor wrong);

}  // namespace foresight
