// The operators of operators.cpp made of torch's own ones, registered for CUDA: same arguments, checks and
// results up to rounding. Index tensors may lie on the GPU or on the CPU; checks read them on the CPU, and
// wait for the GPU.
#include <limits>
#include <optional>
#include <vector>

#include "trainer/operators/torch_calls.h"

namespace foresight::operators {
namespace {

using torch::stable::contiguous;
using torch::stable::reshape;
using torch::stable::transpose;
using torch::stable::unsqueeze;

/// Some requests' blocks of a paged cache [blocks, K, block size, width] as one dense cache.
class Blocks {
 public:
  /// table [R, M] int32 on the CPU; its first columns, as many as `count` entries need. Pages has checked it.
  Blocks(const Tensor& cache, const Tensor& table, std::int64_t first_row, std::int64_t rows,
         std::int64_t count)
      : cache_(cache), rows_(rows), columns_((count + cache.size(2) - 1) / cache.size(2)), count_(count) {
    const auto* numbers = table.const_data_ptr<std::int32_t>() + first_row * table.size(1);
    std::vector<std::int64_t> blocks;
    for (std::int64_t row = 0; row < rows; ++row)
      blocks.insert(blocks.end(), numbers + row * table.size(1), numbers + row * table.size(1) + columns_);
    index_ = on_device(blocks, cache);
  }

  /// A copy of the first `count` entries [R, K, count, width].
  Tensor read() const { return contiguous(part(whole(), 2, 0, count_)); }

  /// Replaces the first entries by those of values [R, K, at most count, width]; what lies behind them stays.
  void write(const Tensor& values) const {
    const Tensor entries = whole();
    fill(part(entries, 2, 0, values.size(2)), values);
    const std::int64_t heads = cache_.size(1), size = cache_.size(2), width = cache_.size(3);
    const Tensor pages = transpose(reshape(entries, {rows_, heads, columns_, size, width}), 1, 2);
    put_rows(cache_, index_, reshape(pages, {rows_ * columns_, heads, size, width}));
  }

 private:
  /// All entries of the blocks [R, K, columns * block size, width].
  Tensor whole() const {
    const std::int64_t heads = cache_.size(1), size = cache_.size(2), width = cache_.size(3);
    const Tensor pages = reshape(rows_of(cache_, index_), {rows_, columns_, heads, size, width});
    return reshape(transpose(pages, 1, 2), {rows_, heads, columns_ * size, width});
  }

  Tensor cache_, index_;
  std::int64_t rows_, columns_, count_;
};

/// Attention [R, K, g, T, N] of T queries [R, K, g, T, d] to the entries [R, K, N, d], whose newest T they
/// are.
Tensor causal_attention(const Tensor& query, const Tensor& key, double scale) {
  const std::int64_t tokens = query.size(3), entries = key.size(2);
  const Tensor keys = transpose(unsqueeze(floats(key), 2), 3, 4);
  const Tensor products = times(torch::stable::matmul(query, keys), number(scale, query));
  const Tensor never = torch::stable::full({tokens, entries}, std::numeric_limits<double>::infinity(),
                                           ScalarType::Float, std::nullopt, query.device());
  return softmax(torch::stable::subtract(products, above_diagonal(never, entries - tokens + 1)));
}

/// Statistic `kind` of all entries [R, K, N, g] of statistics [R, K, N, 8g].
Tensor statistic(const Tensor& statistics, std::int64_t kind, std::int64_t group) {
  return part(statistics, 3, kind * group, group);
}

/// A window's statistics with the attention [R, K, g, T, N] of its queries first .. first+T-1 taken in.
/// before: [R, K, N, 8g], zero for the new entries.
Tensor observed(const Tensor& before, const Tensor& attention, std::int64_t first, std::int64_t window) {
  const std::int64_t group = attention.size(2), tokens = attention.size(3);
  const auto over_entries = [](const Tensor& values) { return transpose(values, 2, 3); };  // [R, K, N, g]
  const Tensor high = over_entries(highest(attention, 3)), low = over_entries(lowest(attention, 3)),
               all = over_entries(sum(attention, 3));
  std::vector<Tensor> found;
  if (first == 0) {
    found = {high, low, all};
  } else {
    found = {larger(statistic(before, kMaximum, group), high),
             smaller(statistic(before, kMinimum, group), low), add(statistic(before, kSum, group), all)};
  }
  for (const auto& [kind, last] : kPartial) {
    const std::int64_t begin = std::max<std::int64_t>(0, window - last - first);
    Tensor added = first == 0 ? torch::stable::new_zeros(all, {all.size(0), all.size(1), all.size(2), group})
                              : statistic(before, kind, group);
    if (begin < tokens) added = add(added, over_entries(sum(part(attention, 3, begin, tokens - begin), 3)));
    found.push_back(added);
  }
  found.push_back(statistic(before, kCumulative, group));
  found.push_back(statistic(before, kDecayed, group));
  return concatenate(found, 3);
}

Tensor composed_window_statistics(const Tensor& query, const Tensor& key, double scale) {
  require_packed(query, ScalarType::Float, {-1, -1, -1, -1, -1}, "query");
  const std::int64_t rows = query.size(0), heads = query.size(1), group = query.size(2),
                     tokens = query.size(3);
  require_sizes(key, {rows, heads, -1, query.size(4)}, "key");
  require_cache(key, "key");
  require_queries(tokens, key.size(2));
  const Tensor none = torch::stable::new_zeros(query, {rows, heads, key.size(2), kStatistics * group});
  return observed(none, causal_attention(query, key, scale), 0, tokens);
}

/// The network's scores [R, K, N] of features [R, K, N, F], as evaluate() of kernels.cpp.
Tensor network_scores(const Tensor& features, const Tensor& weight1, const Tensor& bias1,
                      const Tensor& weight2, const Tensor& bias2) {
  const Tensor hidden = gelu(add(torch::stable::matmul(features, weight1), unsqueeze(bias1, 1)));
  const Tensor scores = torch::stable::matmul(hidden, unsqueeze(weight2, 2));
  return add(torch::stable::squeeze(scores, 3), unsqueeze(bias2, 1));
}

/// Statistics as the network takes them.
Tensor features_of(const Tensor& statistics, std::int64_t group, bool released) {
  if (!released) return log1p(times(statistics, number(kCoarse, statistics)));
  std::vector<Tensor> parts;
  for (std::int64_t kind = 0; kind < kStatistics; ++kind)
    parts.push_back(statistic(statistics, kind > kSum && kind < kCumulative ? kSum : kind, group));
  return concatenate(parts, 3);
}

Tensor composed_score(const Tensor& key, const Tensor& value, const Tensor& statistics, const Tensor& weight1,
                      const Tensor& bias1, const Tensor& weight2, const Tensor& bias2, bool released) {
  require_cache(key, "key");
  const std::int64_t rows = key.size(0), heads = key.size(1), count = key.size(2), width = key.size(3);
  require_sizes(value, {rows, heads, count, width}, "value");
  require_cache(value, "value");
  const std::int64_t group = group_of(statistics);
  require_sizes(statistics, {rows, heads, count, -1}, "statistics");
  const Networks checked(weight1, bias1, weight2, bias2, heads, 2 * width + kStatistics * group);
  const Tensor features =
      concatenate({floats(key), floats(value), features_of(statistics, group, released)}, 3);
  return network_scores(features, weight1, bias1, weight2, bias2);
}

/// The statistics [R, K, count, 8g] of the first entries, as serving_statistics() of kernels.cpp, from the
/// attention [R, K, g, q, N] of the window's last queries.
Tensor serving_features(const Tensor& attention, std::int64_t count) {
  const Tensor seen = part(attention, 4, 0, count);
  const std::int64_t tokens = seen.size(3);
  const auto scaled = [](const Tensor& values, double scale) {  // [R, K, g, count] to [R, K, count, g]
    return log1p(times(transpose(values, 2, 3), number(scale, values)));
  };
  const auto last = [&](std::int64_t queries) {
    const std::int64_t some = std::min(queries, tokens);
    return scaled(sum(part(seen, 3, tokens - some, some), 3), kCoarse);
  };
  const Tensor high = highest(seen, 3), low = lowest(seen, 3);
  const Tensor logarithms = sum(log1p(times(seen, number(kFine, seen))), 3);
  const Tensor mean = times(transpose(logarithms, 2, 3), number(1.0 / static_cast<double>(tokens), seen));
  return concatenate({scaled(high, kCoarse), last(tokens), last(4), last(2), last(1), scaled(high, kFine),
                      mean, scaled(low, kFine)},
                     3);
}

Tensor composed_score_serving(const Tensor& query, const Tensor& key, const Tensor& value,
                              const Tensor& weight1, const Tensor& bias1, const Tensor& weight2,
                              const Tensor& bias2, std::int64_t count, double scale) {
  serving_networks(query, key, value, weight1, bias1, weight2, bias2, count);
  const Tensor statistics = serving_features(causal_attention(query, key, scale), count);
  const Tensor features =
      concatenate({floats(part(key, 2, 0, count)), floats(part(value, 2, 0, count)), statistics}, 3);
  return network_scores(features, weight1, bias1, weight2, bias2);
}

Tensor composed_keep(const Tensor& scores, std::int64_t evict, const std::optional<Tensor>& protect) {
  require_packed(scores, ScalarType::Float, {-1, -1, -1}, "scores");
  const std::int64_t rows = scores.size(0), heads = scores.size(1), count = scores.size(2);
  require_evictions(evict, count);
  // The checks of the CPU, on copies: their messages name row and head.
  std::optional<Tensor> fixed;
  if (protect) {
    require_packed(*protect, ScalarType::Bool, {rows, heads, count}, "protect");
    fixed = on_cpu(*protect);
  }
  if (protect || any_nan(scores)) require_choice(on_cpu(scores), evict, fixed);
  Tensor order = stable_order(scores, true);
  if (protect) {  // protected entries go behind the others, which keep their order
    const Tensor behind = gather(as_type(*protect, ScalarType::Int), 2, order);
    order = gather(order, 2, stable_order(behind, false));
  }
  return as_type(ascending(part(order, 2, evict, count - evict)), ScalarType::Int);
}

/// The first entries of a dense cache [R, K, N, width] that stay, [R, K, M, width].
Tensor stays(const Tensor& cache, const Tensor& kept) {
  const Tensor index = unsqueeze(as_type(torch::stable::to(kept, cache.device()), ScalarType::Long), 3);
  return gather(cache, 2, expand(index, {kept.size(0), kept.size(1), kept.size(2), cache.size(3)}));
}

void composed_compact(const Tensor& cache, const Tensor& kept) {
  require_cache(cache, "cache");
  kept_indices(on_cpu(kept), cache.size(0), cache.size(1), cache.size(2));
  fill(part(cache, 2, 0, kept.size(2)), stays(cache, kept));
}

void composed_observe_paged(const Tensor& query, const Tensor& key_cache, const Tensor& statistics,
                            const Tensor& block_table, const Tensor& query_start, const Tensor& live,
                            const Tensor& first, const Tensor& window, double scale) {
  const Tensor table = on_cpu(block_table), starts = on_cpu(query_start), lengths = on_cpu(live),
               places = on_cpu(first), windows = on_cpu(window);
  const PassRows rows(query, key_cache, statistics, table, starts, lengths, places, windows);
  const std::int64_t heads = key_cache.size(1), group = rows.group(), width = key_cache.size(3);
  for (std::int64_t row = 0; row < table.size(0); ++row) {
    const std::int64_t tokens = rows.tokens(row), entries = rows.live(row);
    const Blocks own(statistics, table, row, 1, entries);
    const Tensor queries = reshape(part(query, 0, rows.start(row), tokens), {1, tokens, heads, group, width});
    const Tensor attention = causal_attention(contiguous(transpose(transpose(queries, 1, 2), 2, 3)),
                                              Blocks(key_cache, table, row, 1, entries).read(), scale);
    const Tensor before = own.read();
    clear(part(before, 2, entries - tokens, tokens));
    own.write(observed(before, attention, rows.first(row), rows.window(row)));
  }
}

void composed_close_window_paged(const Tensor& statistics, const Tensor& block_table, std::int64_t live) {
  const Tensor table = on_cpu(block_table);
  const Pages checked(statistics, table, nullptr, live, "statistics");
  const std::int64_t group = group_of(statistics);
  const Blocks own(statistics, table, 0, table.size(0), live);
  const Tensor values = own.read();
  const Tensor sums = statistic(values, kSum, group);
  const Tensor decayed =
      add(times(statistic(values, kDecayed, group), number(kDecayPerWindow, values)), sums);
  own.write(concatenate(
      {part(values, 3, 0, kCumulative * group), add(statistic(values, kCumulative, group), sums), decayed},
      3));
}

Tensor composed_score_paged(const Tensor& key_cache, const Tensor& value_cache, const Tensor& statistics,
                            const Tensor& block_table, const Tensor& weight1, const Tensor& bias1,
                            const Tensor& weight2, const Tensor& bias2, std::int64_t count, bool released) {
  const Tensor table = on_cpu(block_table);
  const Pages keys(key_cache, table, nullptr, count, "key_cache");
  const Pages values(value_cache, table, nullptr, count, "value_cache");
  const Pages own(statistics, table, nullptr, count, "statistics");
  require_sizes(value_cache, {-1, keys.heads(), -1, key_cache.size(3)}, "value_cache");
  group_of(statistics);
  require_sizes(statistics, {-1, keys.heads(), -1, -1}, "statistics");
  const auto read = [&](const Tensor& cache) { return Blocks(cache, table, 0, table.size(0), count).read(); };
  return composed_score(read(key_cache), read(value_cache), read(statistics), weight1, bias1, weight2, bias2,
                        released);
}

Tensor composed_score_serving_paged(const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
                                    const Tensor& block_table, const Tensor& weight1, const Tensor& bias1,
                                    const Tensor& weight2, const Tensor& bias2, std::int64_t live,
                                    std::int64_t count, double scale) {
  const Tensor table = on_cpu(block_table);
  const Pages keys(key_cache, table, nullptr, live, "key_cache");
  const Pages values(value_cache, table, nullptr, live, "value_cache");
  require_sizes(value_cache, {-1, keys.heads(), key_cache.size(2), key_cache.size(3)}, "value_cache");
  const auto read = [&](const Tensor& cache) { return Blocks(cache, table, 0, table.size(0), live).read(); };
  return composed_score_serving(query, read(key_cache), read(value_cache), weight1, bias1, weight2, bias2,
                                count, scale);
}

void composed_compact_paged(const Tensor& cache, const Tensor& block_table, const Tensor& kept) {
  const Tensor table = on_cpu(block_table);
  const std::int64_t furthest = furthest_kept(cache, table, on_cpu(kept));
  const Pages checked(cache, table, nullptr, furthest, "cache");
  const Blocks own(cache, table, 0, table.size(0), furthest);
  own.write(stays(own.read(), kept));
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(foresight, CUDA, library) {
  library.impl("window_statistics", TORCH_BOX(&composed_window_statistics));
  library.impl("score", TORCH_BOX(&composed_score));
  library.impl("keep", TORCH_BOX(&composed_keep));
  library.impl("compact_", TORCH_BOX(&composed_compact));
  library.impl("observe_paged_", TORCH_BOX(&composed_observe_paged));
  library.impl("close_window_paged_", TORCH_BOX(&composed_close_window_paged));
  library.impl("score_paged", TORCH_BOX(&composed_score_paged));
  library.impl("score_serving", TORCH_BOX(&composed_score_serving));
  library.impl("score_serving_paged", TORCH_BOX(&composed_score_serving_paged));
  library.impl("compact_paged_", TORCH_BOX(&composed_compact_paged));
}

}  // namespace foresight::operators
