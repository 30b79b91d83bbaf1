#include "trainer/evaluation/side_by_side.h"

#include <algorithm>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/token_selection.h"
#include "trainer/eviction/evicted_pass.h"

namespace foresight {
namespace {

/// Sums over tokens, turned into means at the end.
struct Sums {
  double loss = 0, full = 0, low_rise = 0;
  std::int64_t tokens = 0, low_tokens = 0;
  std::vector<double> trace_loss_rise;
};

/// Runs of consecutive traces of one length, at most `most` each.
std::vector<std::vector<const RecordedTrace*>> equal_length_batches(const std::vector<RecordedTrace>& traces,
                                                                    std::int64_t most) {
  std::vector<std::vector<const RecordedTrace*>> batches;
  for (const RecordedTrace& trace : traces) {
    const bool joins = !batches.empty() && static_cast<std::int64_t>(batches.back().size()) < most &&
                       batches.back().front()->length() == trace.length();
    if (!joins) batches.emplace_back();
    batches.back().push_back(&trace);
  }
  return batches;
}

void add_trace(Sums& sums, const RecordedTrace& trace, const torch::Tensor& losses,
               const torch::Tensor& scored, const torch::Tensor& low) {
  const torch::Tensor evicted = losses.to(torch::kFloat64), full = trace.loss.to(torch::kFloat64);
  const torch::Tensor rise = evicted - full;
  const auto total = [](const torch::Tensor& values, const torch::Tensor& mask) {
    return values.masked_select(mask).sum().item<double>();
  };
  const auto tokens = scored.sum().item<std::int64_t>();
  const double trace_rise = total(rise, scored);
  sums.loss += total(evicted, scored);
  sums.full += total(full, scored);
  sums.low_rise += total(rise, low);
  sums.tokens += tokens;
  sums.low_tokens += low.sum().item<std::int64_t>();
  sums.trace_loss_rise.push_back(tokens == 0 ? 0.0 : trace_rise / static_cast<double>(tokens));
}

PolicyResult result_of(const std::string& name, const Sums& sums) {
  const auto tokens = static_cast<double>(std::max<std::int64_t>(sums.tokens, 1));
  PolicyResult result;
  result.name = name;
  result.loss = sums.loss / tokens;
  result.loss_rise = (sums.loss - sums.full) / tokens;
  result.loss_ratio = sums.full > 0 ? sums.loss / sums.full : 1.0;
  result.low_entropy_loss_rise =
      sums.low_rise / static_cast<double>(std::max<std::int64_t>(sums.low_tokens, 1));
  result.tokens = sums.tokens;
  result.traces = static_cast<std::int64_t>(sums.trace_loss_rise.size());
  result.trace_loss_rise = sums.trace_loss_rise;
  return result;
}

}  // namespace

std::int64_t evaluation_tokens(const std::vector<RecordedTrace>& traces, std::size_t policies,
                               const CacheSize& size) {
  std::int64_t tokens = 0;
  for (const RecordedTrace& trace : traces) {
    const std::int64_t prefix = std::min(trace.length(), size.budget + size.window);
    tokens += prefix + (trace.length() - prefix) * static_cast<std::int64_t>(policies);
  }
  return tokens;
}

std::vector<PolicyResult> evaluate_policies(const Transformer& model,
                                            const std::vector<RecordedTrace>& traces,
                                            const std::vector<Policy>& policies,
                                            const EvaluationOptions& options,
                                            const std::function<void(std::int64_t)>& on_tokens) {
  const bool touched = std::any_of(traces.begin(), traces.end(), [&](const RecordedTrace& trace) {
    return trace.length() > options.size.first_scored();
  });
  const std::int64_t first_scored = touched ? options.size.first_scored() : 1;
  const auto count = static_cast<std::int64_t>(policies.size());
  std::vector<Sums> sums(policies.size() + 1);  // the first is full KV
  const std::int64_t traces_per_pass =
      std::max<std::int64_t>(1, options.rows_per_pass / std::max<std::int64_t>(count, 1));
  for (const auto& batch : equal_length_batches(traces, traces_per_pass)) {
    const auto batch_size = static_cast<std::int64_t>(batch.size());
    std::vector<torch::Tensor> tokens;
    std::vector<EvictionSelector> selectors;
    for (const RecordedTrace* trace : batch) tokens.push_back(trace->tokens);
    for (const Policy& policy : policies) selectors.push_back(policy.make(batch));
    torch::Tensor losses;  // [P * N, L]
    if (count > 0) {
      losses = evicted_losses(model, torch::stack(tokens), options.size, count,
                              side_by_side(std::move(selectors)), on_tokens)
                   .to(torch::kCPU);
    }
    for (std::int64_t n = 0; n < batch_size; ++n) {
      const RecordedTrace& trace = *batch[static_cast<std::size_t>(n)];
      const torch::Tensor scored = scored_tokens(trace, first_scored, options.score);
      const torch::Tensor low = low_entropy_mask(trace.entropy, scored, options.low_entropy_share);
      add_trace(sums[0], trace, trace.loss, scored, low);
      const torch::Tensor evictable = torch::arange(trace.length()) >= options.size.first_scored();
      for (std::int64_t p = 0; p < count; ++p) {
        const torch::Tensor own = torch::where(evictable, losses[p * batch_size + n], trace.loss);
        if (!torch::isfinite(own).all().item<bool>()) {
          throw Error(ErrorKind::kNumeric,
                      concat("trace ", trace.id, ": loss under policy '",
                             policies[static_cast<std::size_t>(p)].name, "' is not finite"));
        }
        add_trace(sums[static_cast<std::size_t>(p) + 1], trace, own, scored, low);
      }
    }
  }
  std::vector<PolicyResult> results = {result_of("full", sums[0])};
  for (std::size_t p = 0; p < policies.size(); ++p)
    results.push_back(result_of(policies[p].name, sums[p + 1]));
  return results;
}

}  // namespace foresight
