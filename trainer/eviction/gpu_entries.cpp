#include "trainer/eviction/gpu_entries.h"

#include "trainer/kernels/launch.h"
#include "trainer/model/tensor_io.h"

namespace foresight {
namespace {

/// As the kernels read it: float32, without gaps between the numbers of a vector.
torch::Tensor readable(const torch::Tensor& vectors) {
  const torch::Tensor wide = vectors.to(torch::kFloat32);
  return wide.stride(3) == 1 ? wide : wide.contiguous();
}

}  // namespace

void append_on_gpu(const EntryBuffers& to, std::int64_t live, std::int64_t seen, const torch::Tensor& key,
                   const torch::Tensor& value) {
  check_shape(key, {to.keys.size(0), to.keys.size(1), -1, to.keys.size(3)}, "new keys");
  check_shape(value, key.sizes(), "new values");
  const torch::Tensor keys = readable(key), values = readable(value);
  kernels::AppendWork work;
  work.keys = keys.const_data_ptr<float>();
  work.key_row = keys.stride(0);
  work.key_head = keys.stride(1);
  work.key_token = keys.stride(2);
  work.values = values.const_data_ptr<float>();
  work.value_row = values.stride(0);
  work.value_head = values.stride(1);
  work.value_token = values.stride(2);
  work.to_keys = to.keys.mutable_data_ptr();
  work.to_values = to.values.mutable_data_ptr();
  work.bfloat16 = to.keys.scalar_type() == torch::kBFloat16;
  work.positions = to.positions.mutable_data_ptr<std::int64_t>();
  work.rows = keys.size(0);
  work.kv_heads = keys.size(1);
  work.tokens = keys.size(2);
  work.width = keys.size(3);
  work.capacity = to.keys.size(2);
  work.live = live;
  work.seen = seen;
  kernels::launch(work, to.keys.device());
}

void compact_on_gpu(const EntryBuffers& buffers, const EntrySums& sums, const torch::Tensor& evicted,
                    std::int64_t budget, torch::Tensor wrong) {
  const torch::Tensor going = evicted.contiguous();
  kernels::CompactWork work;
  work.evicted = going.const_data_ptr<std::int64_t>();
  work.keys = buffers.keys.mutable_data_ptr();
  work.values = buffers.values.mutable_data_ptr();
  work.bfloat16 = buffers.keys.scalar_type() == torch::kBFloat16;
  work.positions = buffers.positions.mutable_data_ptr<std::int64_t>();
  work.cumulative = sums.cumulative.mutable_data_ptr<float>();
  work.decayed = sums.decayed.mutable_data_ptr<float>();
  work.wrong = wrong.mutable_data_ptr<std::int32_t>();
  work.rows = buffers.keys.size(0);
  work.kv_heads = buffers.keys.size(1);
  work.group = sums.cumulative.size(2);
  work.width = buffers.keys.size(3);
  work.budget = budget;
  work.window = evicted.size(2);
  work.capacity = buffers.keys.size(2);
  kernels::launch(work, buffers.keys.device());
}

}  // namespace foresight
