#include "trainer/operators/arguments.h"

#include <string>

namespace foresight::operators {
namespace {

std::string sizes_of(const Tensor& tensor) {
  std::string text = "[";
  for (std::int64_t i = 0; i < tensor.dim(); ++i)
    text += (i > 0 ? ", " : "") + std::to_string(tensor.size(i));
  return text + "]";
}

/// Of head 0 in block 0 (or row 0); the strides may be any.
Entries vectors(const Tensor& cache, const char* name) {
  Entries entries;
  const ScalarType type = cache.scalar_type();
  STD_TORCH_CHECK(type == ScalarType::Float || type == ScalarType::Half || type == ScalarType::BFloat16,
                  "foresight: ", name, " must be float32, float16 or bfloat16");
  STD_TORCH_CHECK(cache.dim() == 4, "foresight: ", name, " must have four dimensions, has sizes ",
                  sizes_of(cache));
  entries.number = type == ScalarType::Float  ? Number::kFloat32
                   : type == ScalarType::Half ? Number::kFloat16
                                              : Number::kBFloat16;
  entries.data = static_cast<char*>(cache.data_ptr());
  entries.width = cache.size(3);
  entries.number_bytes = cache.stride(3) * bytes_of(entries.number);
  entries.entry_bytes = cache.stride(2) * bytes_of(entries.number);
  entries.block_size = cache.size(2);
  entries.block_bytes = cache.stride(0) * bytes_of(entries.number);
  return entries;
}

}  // namespace

void require_sizes(const Tensor& tensor, std::initializer_list<std::int64_t> sizes, const char* name) {
  bool fits = tensor.dim() == static_cast<std::int64_t>(sizes.size());
  std::string expected = "[";
  std::int64_t i = 0;
  for (const std::int64_t size : sizes) {
    fits = fits && (size < 0 || tensor.size(i) == size);
    expected += (i > 0 ? ", " : "") + (size < 0 ? std::string("any") : std::to_string(size));
    ++i;
  }
  STD_TORCH_CHECK(fits, "foresight: ", name, " has sizes ", sizes_of(tensor), ", expected ", expected, "]");
}

void require_packed(const Tensor& tensor, ScalarType type, std::initializer_list<std::int64_t> sizes,
                    const char* name) {
  require_sizes(tensor, sizes, name);
  STD_TORCH_CHECK(tensor.scalar_type() == type, "foresight: ", name, " must be ",
                  torch::headeronly::toString(type), ", is ",
                  torch::headeronly::toString(tensor.scalar_type()));
  STD_TORCH_CHECK(tensor.is_contiguous(), "foresight: ", name, " must be contiguous");
}

void require_cache(const Tensor& cache, const char* name) {
  (void)vectors(cache, name);
}

Entries dense_entries(const Tensor& cache, std::int64_t row, std::int64_t head) {
  Entries entries = vectors(cache, "the cache");
  entries.data += (row * cache.stride(0) + head * cache.stride(1)) * bytes_of(entries.number);
  return entries;
}

Pages::Pages(const Tensor& cache, const Tensor& table, const std::int32_t* live, std::int64_t at_least,
             const char* name)
    : first_(vectors(cache, name)), rows_(table.size(0)), heads_(cache.size(1)) {
  require_packed(table, ScalarType::Int, {-1, -1}, "block_table");
  columns_ = table.size(1);
  table_ = table.const_data_ptr<std::int32_t>();
  head_bytes_ = cache.stride(1) * bytes_of(first_.number);
  for (std::int64_t row = 0; row < rows_; ++row) {
    const std::int64_t used = live == nullptr ? at_least : live[row];
    STD_TORCH_CHECK(used >= at_least && used <= columns_ * first_.block_size, "foresight: row ", row, " has ",
                    used, " entries in ", name, ", expected ", at_least, " to ",
                    columns_ * first_.block_size);
    for (std::int64_t i = 0; i * first_.block_size < used; ++i) {
      const std::int32_t block = table_[row * columns_ + i];
      STD_TORCH_CHECK(block >= 0 && block < cache.size(0), "foresight: row ", row, " names block ", block,
                      " of ", name, ", which has ", cache.size(0));
    }
  }
}

Entries Pages::entries(std::int64_t row, std::int64_t head) const {
  Entries entries = first_;
  entries.data += head * head_bytes_;
  entries.table = table_ + row * columns_;
  return entries;
}

Networks::Networks(const Tensor& weight1, const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
                   std::int64_t heads, std::int64_t inputs)
    : inputs_(inputs) {
  require_packed(weight1, ScalarType::Float, {heads, inputs, kHidden}, "weight1");
  require_packed(bias1, ScalarType::Float, {heads, kHidden}, "bias1");
  require_packed(weight2, ScalarType::Float, {heads, kHidden}, "weight2");
  require_packed(bias2, ScalarType::Float, {heads}, "bias2");
  weight1_ = weight1.const_data_ptr<float>();
  bias1_ = bias1.const_data_ptr<float>();
  weight2_ = weight2.const_data_ptr<float>();
  bias2_ = bias2.const_data_ptr<float>();
}

Network Networks::head(std::int64_t head) const {
  return {.weight1 = weight1_ + head * inputs_ * kHidden,
          .bias1 = bias1_ + head * kHidden,
          .weight2 = weight2_ + head * kHidden,
          .bias2 = bias2_[head]};
}

}  // namespace foresight::operators
