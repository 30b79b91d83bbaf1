// The operators for scorers on serving features (scorer.features: serving), which keep no statistics with an
// entry: features and scores from the window's last queries.
#include "trainer/operators/arguments.h"

namespace foresight::operators {
namespace {

/// What each row and KV head of queries [R, K, g, q, d] observes.
Observation recent_of(const Tensor& query, std::int64_t row, std::int64_t head, std::int64_t live,
                      double scale) {
  const std::int64_t group = query.size(2), tokens = query.size(3), width = query.size(4);
  return {.queries = query.const_data_ptr<float>() + (row * query.size(1) + head) * group * tokens * width,
          .token_stride = width,
          .head_stride = tokens * width,
          .group = group,
          .tokens = tokens,
          .live = live,
          .first = 0,
          .window = tokens,
          .scale = static_cast<float>(scale)};
}

/// Scores [R, K, count]; f(row, head, observation, network, scores) writes those of a row and KV head.
template <typename F>
Tensor scores_by_head(const Tensor& query, const Tensor& weight1, const Networks& networks, std::int64_t live,
                      std::int64_t count, double scale, const F& f) {
  const std::int64_t rows = query.size(0), heads = query.size(1);
  Tensor scores = torch::stable::new_zeros(weight1, {rows, heads, count});
  auto* out = scores.mutable_data_ptr<float>();
  torch::stable::parallel_for(0, rows * heads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / heads, head = i % heads;
      f(row, head, recent_of(query, row, head, live, scale), networks.head(head), out + i * count);
    }
  });
  return scores;
}

Tensor score_serving_dense(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& weight1,
                           const Tensor& bias1, const Tensor& weight2, const Tensor& bias2,
                           std::int64_t count, double scale) {
  const Networks networks = serving_networks(query, key, value, weight1, bias1, weight2, bias2, count);
  return scores_by_head(query, weight1, networks, key.size(2), count, scale,
                        [&](std::int64_t row, std::int64_t head, const Observation& recent,
                            const Network& network, float* scores) {
                          score_serving(recent, dense_entries(key, row, head),
                                        dense_entries(value, row, head), count, network, scores);
                        });
}

Tensor score_serving_paged(const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
                           const Tensor& block_table, const Tensor& weight1, const Tensor& bias1,
                           const Tensor& weight2, const Tensor& bias2, std::int64_t live, std::int64_t count,
                           double scale) {
  const Pages keys(key_cache, block_table, nullptr, live, "key_cache");
  const Pages values(value_cache, block_table, nullptr, live, "value_cache");
  const std::int64_t heads = keys.heads(), width = key_cache.size(3);
  require_sizes(value_cache, {-1, heads, key_cache.size(2), width}, "value_cache");
  require_recent(query, keys.rows(), heads, width, live, count);
  const Networks networks(weight1, bias1, weight2, bias2, heads, 2 * width + kStatistics * query.size(2));
  return scores_by_head(query, weight1, networks, live, count, scale,
                        [&](std::int64_t row, std::int64_t head, const Observation& recent,
                            const Network& network, float* scores) {
                          score_serving(recent, keys.entries(row, head), values.entries(row, head), count,
                                        network, scores);
                        });
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(foresight, library) {
  library.def(
      "score_serving(Tensor query, Tensor key, Tensor value, Tensor weight1, Tensor bias1, Tensor weight2, "
      "Tensor bias2, int count, float scale) -> Tensor");
  library.def(
      "score_serving_paged(Tensor query, Tensor key_cache, Tensor value_cache, Tensor block_table, Tensor "
      "weight1, Tensor bias1, Tensor weight2, Tensor bias2, int live, int count, float scale) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(foresight, CPU, library) {
  library.impl("score_serving", TORCH_BOX(&score_serving_dense));
  library.impl("score_serving_paged", TORCH_BOX(&score_serving_paged));
}

}  // namespace foresight::operators
