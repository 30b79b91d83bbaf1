// The published eviction rules, as pure functions of a view.
//
// Every rule returns eviction scores [R, K, B] in float32, B = view.budget: HIGH = evict. All rules share the
// harness: per KV head, at the same B and W, the newest W entries never candidates. Statistics of the g query
// heads of a group are merged per KV head as each docstring says. The rules are deterministic and detached.
// Rules that need single queries' attention, which a view does not hold, are given it beside the view.
// docs/policies.md: sources, differences from what was published, and what each was checked against.
#pragma once

#include <torch/types.h>

#include <cstdint>

#include "trainer/eviction/eviction_view.h"

namespace foresight {

/// StreamingLLM (Xiao et al. 2024, arXiv 2309.17453): the first `sinks` positions of the sequence stay, and
/// otherwise the newest entries. Score = -position; a sink has the lowest float, so it goes only when nothing
/// else is left. Positions are those of the sequence (not re-indexed in the cache as in the paper).
torch::Tensor streaming_llm_scores(const EvictionView& view, std::int64_t sinks = 4);

/// H2O (Zhang et al. 2023, arXiv 2306.14048): score = -(attention summed over all queries since the entry was
/// cached), mean over the group; not divided by age. The newest W play the part of its recent share.
torch::Tensor h2o_scores(const EvictionView& view);

/// SnapKV (Li et al. 2024, arXiv 2404.14469): score = -(mean attention of the window's W queries, mean over
/// the group, then max-pooled over `kernel` neighbours along the cache, stride 1, same padding). As in the
/// published code the pooling sees the candidates only, not the window, and a border takes the maximum of
/// what is there. Variant: max pooling of 7 (the code's default arguments are a mean of 5), group mean before
/// pooling (the code repeats the keys and selects per query head). `kernel` is odd.
torch::Tensor snapkv_scores(const EvictionView& view, std::int64_t kernel = 7);

/// TOVA (Oren et al. 2024, arXiv 2401.06104): score = -(attention of the newest query, mean over the group).
/// Variant: per KV head (the paper averages over all heads of a layer). `attention` [R, K, g, n, N]:
/// attention_of_last() of at least the newest query.
torch::Tensor tova_scores(const EvictionView& view, const torch::Tensor& attention);

/// KeyDiff (Park et al. 2025, arXiv 2504.15364): score = cosine similarity of the key with the anchor, the
/// mean of the L2-normalised keys of all N live entries of the KV head, window included. No attention is
/// used.
torch::Tensor keydiff_scores(const EvictionView& view);

/// Constants of R-KV.
struct RkvOptions {
  double importance_weight = 0.1;     ///< lambda of the paper; the published code's default is 0.07
  double similarity_threshold = 0.5;  ///< keys at a cosine above this are similar
  std::int64_t kernel = 7;            ///< max pooling of the importance; odd
};

/// R-KV (Cai et al. 2025, arXiv 2505.24133): score = -(lambda*importance - (1 - lambda)*redundancy).
/// Importance, as in the published code (rkv/compression/r1_kv.py): attention of the window's queries over
/// the candidates, merged over the group by its maximum, normalised over the candidates, mean over the
/// queries, max-pooled over `kernel` candidates (stride 1, same padding). `attention` [R, K, g, W, N],
/// attention_of_last() of all W queries, holds probabilities, not logits, so the maximum over the group is of
/// each head's log-probability where the published code takes the raw logit; for g = 1 both are the same.
/// Redundancy (rkv/utils.py, retain direction "last"): cosine similarities of all N keys with a zero
/// diagonal; in each key's row the most recent key that is similar (cosine above the threshold) is set to 0,
/// so that the newest of a set of copies stays (entry 0 where none is similar, as published); the mean over
/// the rows; softmax over all N entries; the candidates' part. In this variant the threshold picks the
/// retained key only, lower similarities still count, and the published retain_ratio has no effect.
torch::Tensor rkv_scores(const EvictionView& view, const torch::Tensor& attention,
                         const RkvOptions& options = {});

/// Constants of VaSE.
struct VaseOptions {
  std::int64_t large = -1;  ///< candidates kept by the range of their values; -1: a quarter of the budget
  std::int64_t sinks = 4;   ///< first positions of the sequence, which count as the largest ranges
  std::int64_t kernel = 5;  ///< mean pooling of the attention; odd
};

/// VaSE (Chang et al. 2026, arXiv 2606.03928): the `large` candidates whose values have the largest range,
/// max - min over the head dimension, stay; the others that stay are drawn without replacement in proportion
/// to the attention of the window's queries. As in the published code (mode range_sink_sample_attn, smooth)
/// this is each query's attention over the candidates alone, mean over the queries, mean-pooled over `kernel`
/// candidates (zeros count at the borders), mean over the group. The draw is a race: an entry of attention a
/// arrives at -log(u) / a, for its uniform number u of `noise` [R, K, B], and the last ones go. Score = log
/// of the arrival; the lowest float for what stays by its range. `attention` as for R-KV.
torch::Tensor vase_scores(const EvictionView& view, const torch::Tensor& attention,
                          const torch::Tensor& noise, const VaseOptions& options = {});

/// Random eviction: the noise itself, uniform or any other continuous, one value per candidate, [R, K, B].
torch::Tensor random_scores(const EvictionView& view, const torch::Tensor& noise);

/// The `count` entries to evict: cache indices [R, K, count] int64 in order of eviction, the highest score
/// first; ties: the lower index, the older entry, first. `scores` [..., B]. Throws Error(kInternal) unless 1
/// <= count <= B.
torch::Tensor highest_entries(const torch::Tensor& scores, std::int64_t count);

}  // namespace foresight
