#include "trainer/eviction/grouped_attention.h"

#include <cmath>
#include <limits>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/model/few_rows.h"
#include "trainer/model/row_functions.h"
#include "trainer/model/tensor_io.h"

namespace foresight {

torch::Tensor attention_probabilities(const torch::Tensor& query, const torch::Tensor& keys,
                                      const torch::Tensor& hidden_entries, const AttentionRule& rule) {
  const std::int64_t rows = query.size(0), heads = query.size(1), group = query.size(2),
                     tokens = query.size(3);
  const std::int64_t d = query.size(4), entries = keys.size(2);
  check_shape(keys, {rows, heads, -1, d}, "keys");
  const torch::Tensor queries = query.reshape({rows * heads, group * tokens, d});
  const torch::Tensor by_head = keys.reshape({rows * heads, entries, d});
  torch::Tensor scores = (suits_few_rows_batch(group * tokens, by_head)
                              ? few_rows_products(queries, by_head)
                              : torch::bmm(queries, by_head.to(queries.scalar_type()).transpose(1, 2)))
                             .view({rows, heads, group, tokens, entries});
  double scale = 1.0 / std::sqrt(static_cast<double>(d));
  if (rule.score_cap > 0.0) {
    soft_capped(scores.mul_(scale), rule.score_cap);
    scale = 1.0;
  }
  // Masked by a lowest value that is finite: the softmax of a padding query, which sees nothing real, stays
  // free of NaN.
  constexpr float kUnseen = std::numeric_limits<float>::lowest() / 2;
  if (hidden_entries.defined()) {
    const torch::Tensor index = torch::arange(entries, hidden_entries.options());
    const torch::Tensor padding = index.unsqueeze(0) < hidden_entries.unsqueeze(1);  // [R, n]
    scores.masked_fill_(padding.view({rows, 1, 1, 1, entries}), kUnseen);
  }
  if (rule.window > 0 && entries > rule.window) {
    const auto numbers = scores.options().dtype(torch::kInt64);
    const torch::Tensor own = torch::arange(entries - tokens, entries, numbers).unsqueeze(1);  // [T, 1]
    scores.masked_fill_(torch::arange(entries, numbers).unsqueeze(0) <= own - rule.window, kUnseen);
  }
  return causal_softmax(scores, scale, rule.sinks);
}

torch::Tensor attention_output(const torch::Tensor& probabilities, const torch::Tensor& values) {
  const std::int64_t rows = probabilities.size(0), heads = probabilities.size(1),
                     group = probabilities.size(2);
  const std::int64_t tokens = probabilities.size(3), entries = probabilities.size(4), d = values.size(3);
  check_shape(values, {rows, heads, entries, d}, "values");
  const torch::Tensor weights = probabilities.reshape({rows * heads, group * tokens, entries});
  const torch::Tensor by_head = values.reshape({rows * heads, entries, d});
  const torch::Tensor output = suits_few_rows_batch(group * tokens, by_head)
                                   ? few_rows_sums(weights, by_head)
                                   : torch::bmm(weights, by_head.to(weights.scalar_type()));
  return output.view({rows, heads, group, tokens, d});
}

bool suits_causal_attention(const torch::Tensor& query, torch::ScalarType type) {
  constexpr std::int64_t kTogether = 8, kWidest = 256;  // numbers of a head, for flash attention
  const std::int64_t width = query.size(3);
  const bool suits_gpu =
      query.is_cuda() && type == torch::kBFloat16 && width % kTogether == 0 && width <= kWidest;
  return (query.is_cpu() || suits_gpu) && query.size(2) > kFewRows;
}

torch::Tensor causal_attention(const torch::Tensor& query, const torch::Tensor& keys,
                               const torch::Tensor& values, const torch::Tensor& sinks) {
  const std::int64_t tokens = query.size(2), before = keys.size(2) - tokens;
  check_shape(keys, {query.size(0), -1, -1, query.size(3)}, "keys");
  check_shape(values, keys.sizes(), "values");
  if (before < 0 || query.size(1) % keys.size(1) != 0) {
    throw Error(ErrorKind::kInternal,
                concat("causal attention: queries ", query.sizes(), " do not fit keys ", keys.sizes()));
  }
  const auto attend = [&](std::int64_t first, std::int64_t count,
                          bool is_causal) -> std::tuple<torch::Tensor, torch::Tensor> {
    if (query.is_cuda()) {
      const auto found = at::_scaled_dot_product_flash_attention(query, keys.narrow(2, first, count),
                                                                 values.narrow(2, first, count),
                                                                 /*dropout_p=*/0.0, is_causal);
      return {std::get<0>(found), std::get<1>(found)};
    }
    return at::_scaled_dot_product_flash_attention_for_cpu(query, keys.narrow(2, first, count),
                                                           values.narrow(2, first, count),
                                                           /*dropout_p=*/0.0, is_causal);
  };
  const auto [own, own_logsumexp] = attend(before, tokens, /*is_causal=*/true);
  // What a sink leaves: a softmax of sum s has the share s / (s + e^sink).
  const auto beside_sinks = [&](const torch::Tensor& output, const torch::Tensor& logsumexp) {
    if (!sinks.defined()) return output;
    return output.to(torch::kFloat32) * torch::sigmoid(logsumexp - sinks.unsqueeze(1)).unsqueeze(-1);
  };
  if (before == 0) return beside_sinks(own, own_logsumexp);
  // Its causal mask knows squares alone: what lies before them is attended to apart. The two softmax sums say
  // how much of the whole each part is.
  const auto [earlier, earlier_logsumexp] = attend(0, before, /*is_causal=*/false);
  const torch::Tensor share = torch::sigmoid(earlier_logsumexp - own_logsumexp).unsqueeze(-1);
  return beside_sinks(torch::lerp(own.to(torch::kFloat32), earlier.to(torch::kFloat32), share),
                      torch::logaddexp(earlier_logsumexp, own_logsumexp));
}

}  // namespace foresight
