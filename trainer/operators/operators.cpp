// torch.ops.foresight: the scorer's arithmetic as operators on PyTorch's stable ABI, without CPython. What
// each does, with shapes and errors, stands in scripts/python/src/foresight_kv/operators.py.
#include <optional>

#include "trainer/operators/arguments.h"

namespace foresight::operators {
namespace {

/// Calls f(row, head) for all of them, on torch's threads.
template <typename F>
void each_head(std::int64_t rows, std::int64_t heads, const F& f) {
  torch::stable::parallel_for(0, rows * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(i / heads, i % heads);
  });
}

Tensor window_statistics(const Tensor& query, const Tensor& key, double scale) {
  require_packed(query, ScalarType::Float, {-1, -1, -1, -1, -1}, "query");
  const std::int64_t rows = query.size(0), heads = query.size(1), group = query.size(2),
                     tokens = query.size(3), width = query.size(4);
  require_sizes(key, {rows, heads, -1, width}, "key");
  require_cache(key, "key");
  require_queries(tokens, key.size(2));
  Tensor statistics = torch::stable::new_zeros(query, {rows, heads, key.size(2), kStatistics * group});
  const float* queries = query.const_data_ptr<float>();
  each_head(rows, heads, [&](std::int64_t row, std::int64_t head) {
    observe({.queries = queries + (row * heads + head) * group * tokens * width,
             .token_stride = width,
             .head_stride = tokens * width,
             .group = group,
             .tokens = tokens,
             .live = key.size(2),
             .first = 0,
             .window = tokens,
             .scale = static_cast<float>(scale)},
            dense_entries(key, row, head), dense_entries(statistics, row, head));
  });
  return statistics;
}

Tensor score_dense(const Tensor& key, const Tensor& value, const Tensor& statistics, const Tensor& weight1,
                   const Tensor& bias1, const Tensor& weight2, const Tensor& bias2, bool released) {
  require_cache(key, "key");
  const std::int64_t rows = key.size(0), heads = key.size(1), count = key.size(2), width = key.size(3);
  require_sizes(value, {rows, heads, count, width}, "value");
  require_cache(value, "value");
  const std::int64_t group = group_of(statistics);
  require_sizes(statistics, {rows, heads, count, -1}, "statistics");
  const Networks networks(weight1, bias1, weight2, bias2, heads, 2 * width + kStatistics * group);
  Tensor scores = torch::stable::new_zeros(weight1, {rows, heads, count});
  auto* out = scores.mutable_data_ptr<float>();
  each_head(rows, heads, [&](std::int64_t row, std::int64_t head) {
    score(dense_entries(key, row, head), dense_entries(value, row, head),
          dense_entries(statistics, row, head), count, group, networks.head(head), released,
          out + (row * heads + head) * count);
  });
  return scores;
}

Tensor keep_entries(const Tensor& scores, std::int64_t evict, const std::optional<Tensor>& protect) {
  require_packed(scores, ScalarType::Float, {-1, -1, -1}, "scores");
  const std::int64_t rows = scores.size(0), heads = scores.size(1), count = scores.size(2),
                     kept = count - evict;
  require_evictions(evict, count);
  if (protect) require_packed(*protect, ScalarType::Bool, {rows, heads, count}, "protect");
  require_choice(scores, evict, protect);
  const bool* fixed = protect ? protect->const_data_ptr<bool>() : nullptr;
  const auto* values = scores.const_data_ptr<float>();
  Tensor indices = torch::stable::new_empty(scores, {rows, heads, kept}, ScalarType::Int);
  auto* out = indices.mutable_data_ptr<std::int32_t>();
  each_head(rows, heads, [&](std::int64_t row, std::int64_t head) {
    const std::int64_t i = row * heads + head;
    keep(values + i * count, fixed == nullptr ? nullptr : fixed + i * count, count, evict, out + i * kept);
  });
  return indices;
}

void compact_dense(const Tensor& cache, const Tensor& kept) {
  require_cache(cache, "cache");
  const auto* indices = kept_indices(kept, cache.size(0), cache.size(1), cache.size(2));
  each_head(cache.size(0), cache.size(1), [&](std::int64_t row, std::int64_t head) {
    compact(dense_entries(cache, row, head), indices + (row * cache.size(1) + head) * kept.size(2),
            kept.size(2));
  });
}

void observe_paged(const Tensor& query, const Tensor& key_cache, const Tensor& statistics,
                   const Tensor& block_table, const Tensor& query_start, const Tensor& live,
                   const Tensor& first, const Tensor& window, double scale) {
  const PassRows rows(query, key_cache, statistics, block_table, query_start, live, first, window);
  const Pages &keys = rows.keys(), &own = rows.statistics();
  const std::int64_t heads = keys.heads(), group = rows.group(), width = key_cache.size(3);
  const float* queries = query.const_data_ptr<float>();
  each_head(keys.rows(), heads, [&](std::int64_t row, std::int64_t head) {
    observe({.queries = queries + (rows.start(row) * heads + head) * group * width,
             .token_stride = heads * group * width,
             .head_stride = width,
             .group = group,
             .tokens = rows.tokens(row),
             .live = rows.live(row),
             .first = rows.first(row),
             .window = rows.window(row),
             .scale = static_cast<float>(scale)},
            keys.entries(row, head), own.entries(row, head));
  });
}

void close_window_paged(const Tensor& statistics, const Tensor& block_table, std::int64_t live) {
  const Pages own(statistics, block_table, nullptr, live, "statistics");
  const std::int64_t group = group_of(statistics);
  each_head(own.rows(), own.heads(),
            [&](std::int64_t row, std::int64_t head) { close_window(own.entries(row, head), live, group); });
}

Tensor score_paged(const Tensor& key_cache, const Tensor& value_cache, const Tensor& statistics,
                   const Tensor& block_table, const Tensor& weight1, const Tensor& bias1,
                   const Tensor& weight2, const Tensor& bias2, std::int64_t count, bool released) {
  const Pages keys(key_cache, block_table, nullptr, count, "key_cache");
  const Pages values(value_cache, block_table, nullptr, count, "value_cache");
  const Pages own(statistics, block_table, nullptr, count, "statistics");
  const std::int64_t rows = keys.rows(), heads = keys.heads(), group = group_of(statistics);
  require_sizes(value_cache, {-1, heads, -1, key_cache.size(3)}, "value_cache");
  require_sizes(statistics, {-1, heads, -1, -1}, "statistics");
  const Networks networks(weight1, bias1, weight2, bias2, heads, 2 * key_cache.size(3) + kStatistics * group);
  Tensor scores = torch::stable::new_zeros(weight1, {rows, heads, count});
  auto* out = scores.mutable_data_ptr<float>();
  each_head(rows, heads, [&](std::int64_t row, std::int64_t head) {
    score(keys.entries(row, head), values.entries(row, head), own.entries(row, head), count, group,
          networks.head(head), released, out + (row * heads + head) * count);
  });
  return scores;
}

void compact_paged(const Tensor& cache, const Tensor& block_table, const Tensor& kept) {
  const std::int64_t rows = block_table.size(0), heads = cache.size(1), count = kept.size(2);
  const std::int64_t furthest = furthest_kept(cache, block_table, kept);
  const auto* indices = kept.const_data_ptr<std::int32_t>();
  const Pages pages(cache, block_table, nullptr, furthest, "cache");
  each_head(rows, heads, [&](std::int64_t row, std::int64_t head) {
    compact(pages.entries(row, head), indices + (row * heads + head) * count, count);
  });
}

}  // namespace

STABLE_TORCH_LIBRARY(foresight, library) {
  library.def("window_statistics(Tensor query, Tensor key, float scale) -> Tensor");
  library.def(
      "score(Tensor key, Tensor value, Tensor statistics, Tensor weight1, Tensor bias1, Tensor weight2, "
      "Tensor bias2, bool released) -> Tensor");
  library.def("keep(Tensor scores, int evict, Tensor? protect) -> Tensor");
  library.def("compact_(Tensor(a!) cache, Tensor kept) -> ()");
  library.def(
      "observe_paged_(Tensor query, Tensor key_cache, Tensor(a!) statistics, Tensor block_table, Tensor "
      "query_start, Tensor live, Tensor first, Tensor window, float scale) -> ()");
  library.def("close_window_paged_(Tensor(a!) statistics, Tensor block_table, int live) -> ()");
  library.def(
      "score_paged(Tensor key_cache, Tensor value_cache, Tensor statistics, Tensor block_table, Tensor "
      "weight1, "
      "Tensor bias1, Tensor weight2, Tensor bias2, int count, bool released) -> Tensor");
  library.def("compact_paged_(Tensor(a!) cache, Tensor block_table, Tensor kept) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(foresight, CPU, library) {
  library.impl("window_statistics", TORCH_BOX(&window_statistics));
  library.impl("score", TORCH_BOX(&score_dense));
  library.impl("keep", TORCH_BOX(&keep_entries));
  library.impl("compact_", TORCH_BOX(&compact_dense));
  library.impl("observe_paged_", TORCH_BOX(&observe_paged));
  library.impl("close_window_paged_", TORCH_BOX(&close_window_paged));
  library.impl("score_paged", TORCH_BOX(&score_paged));
  library.impl("compact_paged_", TORCH_BOX(&compact_paged));
}

}  // namespace foresight::operators
