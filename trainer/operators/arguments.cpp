#include "trainer/operators/arguments.h"

#include <algorithm>
#include <cmath>
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

const std::int32_t* packed_indices(const Tensor& tensor, std::int64_t size, const char* name) {
  require_packed(tensor, ScalarType::Int, {size}, name);
  return tensor.const_data_ptr<std::int32_t>();
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

std::int64_t group_of(const Tensor& statistics) {
  STD_TORCH_CHECK(
      statistics.dim() == 4 && statistics.size(3) > 0 && statistics.size(3) % kStatistics == 0 &&
          statistics.scalar_type() == ScalarType::Float && statistics.stride(3) == 1,
      "foresight: statistics must be float32 with four dimensions, the last packed and a multiple of ",
      kStatistics);
  return statistics.size(3) / kStatistics;
}

const std::int32_t* kept_indices(const Tensor& kept, std::int64_t rows, std::int64_t heads,
                                 std::int64_t entries) {
  require_packed(kept, ScalarType::Int, {rows, heads, -1}, "kept");
  const auto* indices = kept.const_data_ptr<std::int32_t>();
  const std::int64_t count = kept.size(2);
  for (std::int64_t i = 0; i < rows * heads * count; ++i) {
    const std::int64_t least = i % count == 0 ? 0 : indices[i - 1] + 1;
    STD_TORCH_CHECK(indices[i] >= least && indices[i] < entries, "foresight: kept holds ", indices[i],
                    " where ", least, " to ", entries - 1, " is expected: the indices must ascend");
  }
  return indices;
}

std::int64_t furthest_kept(const Tensor& cache, const Tensor& table, const Tensor& kept) {
  const std::int64_t rows = table.size(0), heads = cache.size(1);
  require_sizes(kept, {rows, heads, -1}, "kept");
  const auto* indices = kept_indices(kept, rows, heads, table.size(1) * cache.size(2));
  std::int64_t furthest = 0;
  for (std::int64_t i = 0; i < rows * heads * kept.size(2); ++i)
    furthest = std::max<std::int64_t>(furthest, indices[i] + 1);
  return furthest;
}

void require_queries(std::int64_t tokens, std::int64_t entries) {
  STD_TORCH_CHECK(tokens >= 1 && tokens <= entries, "foresight: ", tokens, " queries, expected 1 to the ",
                  entries, " entries of key");
}

void require_recent(const Tensor& query, std::int64_t rows, std::int64_t heads, std::int64_t width,
                    std::int64_t live, std::int64_t count) {
  require_packed(query, ScalarType::Float, {rows, heads, -1, -1, width}, "query");
  const std::int64_t tokens = query.size(3);
  STD_TORCH_CHECK(tokens >= 1 && tokens <= kServingQueries, "foresight: ", tokens,
                  " queries, expected 1 to the last ", kServingQueries, " of a window");
  STD_TORCH_CHECK(count >= 0 && count <= live - tokens, "foresight: count is ", count, ", expected 0 to the ",
                  live - tokens, " entries before the queries' own");
}

void require_evictions(std::int64_t evict, std::int64_t count) {
  STD_TORCH_CHECK(evict >= 0 && evict <= count, "foresight: evict is ", evict, ", expected 0 to the ", count,
                  " entries");
}

void require_choice(const Tensor& scores, std::int64_t evict, const std::optional<Tensor>& protect) {
  const bool* fixed = protect ? protect->const_data_ptr<bool>() : nullptr;
  const std::int64_t heads = scores.size(1), count = scores.size(2);
  const auto* values = scores.const_data_ptr<float>();
  for (std::int64_t i = 0; i < scores.size(0) * heads; ++i) {
    std::int64_t open = 0;
    for (std::int64_t entry = i * count; entry < (i + 1) * count; ++entry) {
      STD_TORCH_CHECK(!std::isnan(values[entry]), "foresight: a score of row ", i / heads, ", KV head ",
                      i % heads, " is NaN");
      open += fixed == nullptr || !fixed[entry] ? 1 : 0;
    }
    STD_TORCH_CHECK(open >= evict, "foresight: ", open, " entries of row ", i / heads, ", KV head ",
                    i % heads, " are not protected, fewer than the ", evict, " to evict");
  }
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

PassRows::PassRows(const Tensor& query, const Tensor& key_cache, const Tensor& statistics,
                   const Tensor& table, const Tensor& query_start, const Tensor& live, const Tensor& first,
                   const Tensor& window)
    : live_(packed_indices(live, table.size(0), "live")),
      keys_(key_cache, table, live_, 1, "key_cache"),
      statistics_(statistics, table, live_, 1, "statistics"),
      group_(group_of(statistics)),
      starts_(packed_indices(query_start, table.size(0) + 1, "query_start")),
      first_(packed_indices(first, table.size(0), "first")),
      windows_(packed_indices(window, table.size(0), "window")) {
  require_sizes(statistics, {-1, keys_.heads(), key_cache.size(2), -1}, "statistics");
  require_packed(query, ScalarType::Float, {-1, keys_.heads() * group_, key_cache.size(3)}, "query");
  for (std::int64_t row = 0; row < keys_.rows(); ++row) {
    STD_TORCH_CHECK(starts_[row] >= 0 && starts_[row + 1] <= query.size(0) && tokens(row) >= 1 &&
                        tokens(row) <= live_[row],
                    "foresight: row ", row, " has ", tokens(row), " queries, expected 1 to its ", live_[row],
                    " entries");
    STD_TORCH_CHECK(first_[row] >= 0 && first_[row] + tokens(row) <= windows_[row],
                    "foresight: the queries of row ", row, " are ", first_[row], " to ",
                    first_[row] + tokens(row) - 1, " of a window of ", windows_[row]);
  }
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

Networks serving_networks(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& weight1,
                          const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
                          std::int64_t count) {
  require_cache(key, "key");
  require_cache(value, "value");
  const std::int64_t rows = key.size(0), heads = key.size(1), live = key.size(2), width = key.size(3);
  require_sizes(value, {rows, heads, live, width}, "value");
  require_recent(query, rows, heads, width, live, count);
  return {weight1, bias1, weight2, bias2, heads, 2 * width + kStatistics * query.size(2)};
}

}  // namespace foresight::operators
