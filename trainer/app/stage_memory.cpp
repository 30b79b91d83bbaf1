#include "trainer/app/stage_memory.h"

#include <algorithm>
#include <cmath>

#include "golden_eviction/attention_strips.h"
#include "golden_eviction/future_attention.h"
#include "golden_eviction/golden_plan.h"
#include "golden_eviction/oracle_stage.h"
#include "rl/grpo_step.h"
#include "trainer/base/text.h"
#include "trainer/evaluation/kept_entries.h"
#include "trainer/evaluation/recall.h"
#include "trainer/eviction/full_cache.h"
#include "trainer/eviction/sliding_layer.h"
#include "trainer/kernels/full_attention.h"
#include "trainer/kernels/window_work.h"
#include "trainer/supervised/cached_states.h"

namespace foresight {
namespace {

constexpr double kMib = 1024.0 * 1024.0;
/// The program with torch, HDF5 and MPI before it has read anything (measured on Linux, x86-64).
constexpr double kProgramBytes = 330 * kMib;
/// Rows whose logits are held together (trainer/model, trainer/eviction).
constexpr double kLogitRows = 128;
constexpr double kPrefixTokens = 256;

double number_bytes(torch::ScalarType type) {
  return type == torch::kBFloat16 ? 2 : 4;
}

/// KV heads of all layers that evict.
double heads_of(const ModelShape& shape) {
  return static_cast<double>(shape.evicting_layers() * shape.kv_heads);
}

/// What a row's layers that do not evict hold of a text of `tokens` tokens: sliding ones keys and values,
/// recurrent ones their state, of which a pass makes a second one.
double other_cache_bytes(const StageSetting& setting, double tokens) {
  const ModelShape& shape = *setting.shape;
  const auto recurrent = static_cast<double>(shape.layers_of(AttentionKind::kRecurrent));
  if (recurrent > 0) return (recurrent + 1) * static_cast<double>(RecurrentState::bytes_of(shape.recurrent));
  if (shape.sliding_window == 0) return 0;
  const auto layers = static_cast<double>(shape.layers_of(AttentionKind::kSliding));
  const auto entries = static_cast<double>(
      SlidingLayer::entries(shape, static_cast<std::int64_t>(tokens), setting.options.device));
  return layers * static_cast<double>(shape.kv_heads * 2 * shape.head_dimension) * entries *
         number_bytes(setting.options.cache_dtype);
}

double inputs_of(const StageSetting& setting) {
  return static_cast<double>(ScorerShape::of(*setting.shape).inputs(setting.config->scorer.features));
}

double scorer_bytes(const StageSetting& setting) {
  return heads_of(*setting.shape) * (inputs_of(setting) + 2) * kScorerHidden * 4;
}

double full_cache_bytes(const StageSetting& setting, double tokens) {
  const ModelShape& shape = *setting.shape;
  return heads_of(shape) * static_cast<double>(2 * shape.head_dimension) * tokens *
             number_bytes(setting.options.cache_dtype) +
         other_cache_bytes(setting, tokens);
}

/// Keys, values, positions and statistics of a row of an evicting cache.
double evicting_cache_bytes(const StageSetting& setting, const CacheSize& size) {
  const ModelShape& shape = *setting.shape;
  const double entry =
      2 * static_cast<double>(shape.head_dimension) * number_bytes(setting.options.cache_dtype) + 8 +
      kStatisticsPerHead * static_cast<double>(shape.group()) * 4;
  const std::int64_t longest =
      setting.longest_tokens > 0 ? setting.longest_tokens + size.window : shape.max_positions;
  return heads_of(shape) * static_cast<double>(size.entries()) * entry +
         other_cache_bytes(setting, static_cast<double>(longest));
}

/// What a layer of a forward pass of `tokens` tokens works with, apart from its attention: the two halves of
/// the gate and their product, in the products' type and in float32. In a mixture of experts, all tokens may
/// go to the same experts. Each expert of a token takes a copy of the token and returns another, and these
/// are sorted back.
double layer_bytes(const StageSetting& setting, double tokens) {
  const ModelShape& shape = *setting.shape;
  const double hidden = static_cast<double>(shape.hidden_size),
               gate = static_cast<double>(shape.intermediate_size);
  const double both_types = 2 + number_bytes(setting.options.dtype);
  const double dense =
      shape.expert_layers() < shape.layers ? tokens * (3 * gate + 4 * hidden) * both_types : 0;
  const double of_expert = 3 * static_cast<double>(shape.experts.intermediate_size) + hidden;
  const double copies =
      static_cast<double>(shape.experts.chosen) * hidden * (number_bytes(setting.options.dtype) + 3 * 4);
  const double mixture =
      shape.expert_layers() > 0 ? tokens * ((of_expert + 4 * hidden) * both_types + copies) : 0;
  return std::max(dense, mixture);
}

double logit_bytes(const StageSetting& setting, bool compared) {
  return kLogitRows * static_cast<double>(setting.shape->vocabulary_size) * 4 * (compared ? 5 : 2);
}

/// Rows of an evicted pass, and those of them whose probabilities a policy asks for together.
struct PassRows {
  std::int64_t all = 0, asked = 0;
};

/// What one window works with: the largest of a layer's attention with what is read of its entries, a layer's
/// products, and the logits of its predictions. The kernels leave no probabilities in memory.
double window_bytes(const StageSetting& setting, const CacheSize& size, const PassRows& of, double logits) {
  const ModelShape& shape = *setting.shape;
  const double entries = static_cast<double>(size.entries()), window = static_cast<double>(size.window);
  const bool by_kernel = shape.score_cap == 0.0 && shape.head_dimension <= kernels::kLargestWidth;
  const auto rows = static_cast<double>(of.all), seen = static_cast<double>(by_kernel ? of.asked : of.all);
  const double attention = seen * static_cast<double>(shape.query_heads) * window * entries * 4;
  const double in_float =
      setting.options.cache_dtype == torch::kFloat32
          ? 0
          : seen * static_cast<double>(shape.kv_heads * 2 * shape.head_dimension) * entries * 4;
  const auto candidates = static_cast<double>(shape.kv_heads * size.budget);
  double features = 2 * rows * candidates * inputs_of(setting) * 4;
  if (has_context(setting.config->scorer.features))
    features += 2 * candidates * entries * 4;  // cosines of the keys of one row
  return std::max({2 * attention + in_float, attention + features,
                   layer_bytes(setting, std::max(rows * window, kPrefixTokens)), logits});
}

std::string rows_and_entries(std::int64_t rows, const CacheSize& size) {
  return concat(rows, " rows of ", size.entries(), " entries");
}

/// A pass under eviction.
std::vector<MemoryItem> evicted_pass_memory(const StageSetting& setting, const CacheSize& size,
                                            const PassRows& rows, double logits, const std::string& keys) {
  return {{"evicting caches, " + rows_and_entries(rows.all, size),
           static_cast<double>(rows.all) * evicting_cache_bytes(setting, size), true, keys},
          {"work on one window, " + rows_and_entries(rows.all, size),
           window_bytes(setting, size, rows, logits), true, keys + " or eviction.window"}};
}

void append(std::vector<MemoryItem>& items, std::vector<MemoryItem> more) {
  items.insert(items.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

/// The recorded attention of one layer as it is read, packed in float16.
double recorded_layer_bytes(const StageSetting& setting, double block) {
  const auto tokens = static_cast<double>(setting.longest_tokens);
  return static_cast<double>(setting.shape->kv_heads) * tokens * tokens / block;
}

/// The golden evictions of a trace in all layers, and of the layer that is being planned the plan (with the
/// candidates of every eviction if they are asked for) and the part of a head's attention that is read.
std::vector<MemoryItem> golden_plan_memory(const StageSetting& setting, double traces, bool candidates) {
  const CacheSize& size = setting.config->eviction;
  const std::int64_t length = std::max<std::int64_t>(1, setting.longest_tokens);
  const std::int64_t windows = windows_of(length, size.window), part = windows_of_plan_part(windows, length);
  const auto steps = static_cast<double>(size.steps(length)), tokens = static_cast<double>(length);
  const double blocks =
      static_cast<double>(size.window) / static_cast<double>(recorded_block_tokens(*setting.config));
  const double of_part = static_cast<double>(part) * tokens * (4 + 2 * blocks),
               behind = static_cast<double>((windows + part - 1) / part) * tokens * 4;
  const double plan = static_cast<double>(setting.shape->kv_heads) * steps *
                      static_cast<double>((candidates ? 8 * size.budget : 0) + 4 * size.window);
  return {
      {"golden evictions", traces * heads_of(*setting.shape) * steps * static_cast<double>(size.window) * 4,
       false, "data.trace_tokens"},
      {"recorded attention and plan of a layer", of_part + behind + plan, false, "data.trace_tokens"}};
}

}  // namespace

std::vector<MemoryItem> model_memory(const StageSetting& setting) {
  const ModelShape& shape = *setting.shape;
  const double dtype = number_bytes(setting.options.dtype);
  const auto embedding = static_cast<double>(shape.vocabulary_size * shape.hidden_size);
  const double head =
      shape.tied_embeddings && setting.options.dtype == torch::kFloat32 ? 0 : embedding * dtype;
  const auto attention = static_cast<double>(
      shape.hidden_size * ((shape.gated_attention ? 3 : 2) * shape.query_heads + 2 * shape.kv_heads) *
      shape.head_dimension);
  const RecurrentShape& of = shape.recurrent;
  const auto recurrent = static_cast<double>(shape.layers_of(AttentionKind::kRecurrent)),
             recurrent_numbers = static_cast<double>(
                 shape.hidden_size * (of.channels() + 2 * of.value_heads * of.value_dimension));
  const auto dense = static_cast<double>(3 * shape.hidden_size * shape.intermediate_size);
  const ExpertShape& experts = shape.experts;
  const auto mixture = static_cast<double>(3 * shape.hidden_size *
                                           (experts.intermediate_size * experts.count + experts.shared_size));
  const auto mixtures = static_cast<double>(shape.expert_layers()),
             layers = static_cast<double>(shape.layers);
  const double numbers = (layers - recurrent) * attention + recurrent * recurrent_numbers +
                         (layers - mixtures) * dense + mixtures * mixture;
  const double routers = mixtures * static_cast<double>(shape.hidden_size * experts.count) * 4;
  return {{"program and libraries", kProgramBytes, false, ""},
          {"weights", embedding * 4 + head + numbers * dtype + routers, true, ""}};
}

std::vector<MemoryItem> generation_memory(const StageSetting& setting, std::int64_t rows) {
  const auto tokens = static_cast<double>(setting.config->traces.max_new_tokens);
  const std::string keys = "traces.batch or traces.max_new_tokens";
  return {{concat("full caches, ", rows, " rows"),
           static_cast<double>(rows) * full_cache_bytes(setting, tokens), true, keys},
          {"work on one pass",
           std::max(layer_bytes(setting, static_cast<double>(rows) * kPrefixTokens),
                    static_cast<double>(rows * setting.shape->vocabulary_size) * 4),
           true, keys}};
}

/// Attention that the oracle has in hand at once (trainer/eviction/full_cache.h): means of blocks where a
/// kernel finds them, else probabilities with the products that they are made of.
double watched_attention_bytes(const StageSetting& setting, double tokens, double together, double block) {
  const ModelShape& shape = *setting.shape;
  const auto most = static_cast<double>(kAttentionBytes);
  if (shape.score_cap == 0.0 &&
      kernels::suits_attention_means(setting.options.device, shape.head_dimension)) {
    const std::int64_t numbers = kernels::numbers_of_means(setting.options.device, shape.group());
    const double of_block = static_cast<double>(shape.kv_heads * numbers) * tokens * 4;
    return std::min(std::max(most, of_block), of_block * std::ceil(together / block));
  }
  return 2 * std::min(most, static_cast<double>(shape.query_heads) * tokens * std::max(block, 128.0) * 4);
}

std::vector<MemoryItem> oracle_memory(const StageSetting& setting) {
  const auto tokens = static_cast<double>(setting.longest_tokens);
  const auto block = static_cast<double>(recorded_block_tokens(*setting.config));
  const double together = std::min(tokens, static_cast<double>(kForwardTokens));
  const double watched = watched_attention_bytes(setting, tokens, together, block);
  return {{concat("full cache of ", setting.longest_tokens, " tokens"), full_cache_bytes(setting, tokens),
           true, "data.trace_tokens"},
          {"work on one part of the pass",
           std::max(layer_bytes(setting, together) + watched, logit_bytes(setting, false)), true, ""},
          {"recorded attention of a layer", 2 * recorded_layer_bytes(setting, block), false,
           "data.trace_tokens"}};
}

std::vector<MemoryItem> supervised_memory(const StageSetting& setting, bool cached) {
  const Config& config = *setting.config;
  const ModelShape& shape = *setting.shape;
  const std::int64_t rows =
      cached ? std::min<std::int64_t>(static_cast<std::int64_t>(kTracesPerReplay), setting.traces) : 1;
  const CacheSize size = largest_size(config.eviction, config.supervised.budgets);
  std::vector<MemoryItem> items = evicted_pass_memory(setting, size, {.all = rows}, /*logits=*/0,
                                                      "eviction.budget or supervised.budgets");
  append(items, golden_plan_memory(setting, static_cast<double>(rows), /*candidates=*/false));
  if (!cached) {
    items.push_back({"contribution of a layer at an eviction",
                     static_cast<double>(shape.kv_heads * setting.longest_tokens) * 4, false, ""});
  }
  items.push_back({"scorer, optimiser, gradients", 6 * scorer_bytes(setting), true, ""});
  return items;
}

std::vector<MemoryItem> grpo_memory(const StageSetting& setting) {
  const Config& config = *setting.config;
  const GrpoConfig& grpo = config.grpo;
  const bool compared = grpo.reward == RewardShape::kExpectedRise;
  const std::int64_t rollouts = grpo.group_size * grpo.traces_per_step;
  const std::int64_t rows = std::min(grpo.rollouts_per_pass, rollouts);
  const std::int64_t traces = std::max<std::int64_t>(1, rows / grpo.group_size);
  std::vector<MemoryItem> items =
      evicted_pass_memory(setting, largest_size(config.eviction, grpo.budgets), {.all = rows},
                          logit_bytes(setting, compared), "grpo.rollouts_per_pass");
  if (compared) {
    items.push_back(
        {"full caches for the expected rise",
         static_cast<double>(traces) * full_cache_bytes(setting, static_cast<double>(setting.longest_tokens)),
         true, "data.trace_tokens, or take another grpo.reward"});
  }
  if (one_pass_applies(grpo)) {
    items.push_back({"gradients of rollouts (eligibility traces)",
                     static_cast<double>(2 * rows + traces) * scorer_bytes(setting), true,
                     "grpo.rollouts_per_pass"});
  } else {
    const std::int64_t units = (rollouts + rows - 1) / rows;
    const double own = static_cast<double>((units + setting.ranks - 1) / setting.ranks * rows);
    items.push_back(
        {"sampled evictions for the replay",
         own * heads_of(*setting.shape) *
             static_cast<double>(config.eviction.steps(setting.longest_tokens) * config.eviction.window) * 2,
         false, "grpo.traces_per_step"});
  }
  items.push_back({"scorers, optimiser, gradients", 7 * scorer_bytes(setting), true, ""});
  return items;
}

std::vector<MemoryItem> evaluation_memory(const StageSetting& setting, std::int64_t policies) {
  const EvaluationConfig& own = setting.config->evaluation;
  const std::int64_t together = std::min(
      setting.traces, std::max<std::int64_t>(1, own.rows_per_pass / std::max<std::int64_t>(1, policies)));
  const std::int64_t rows = together * policies;
  std::vector<MemoryItem> items =
      evicted_pass_memory(setting, setting.config->eviction, {.all = rows, .asked = together},
                          logit_bytes(setting, own.detail), "evaluation.rows_per_pass");
  for (const std::int64_t budget : own.budgets) {
    if (budget == setting.config->eviction.budget) continue;
    const CacheSize size = setting.config->eviction.with_budget(budget);
    items.push_back({"evicting caches, " + rows_and_entries(rows, size),
                     static_cast<double>(rows) * evicting_cache_bytes(setting, size), true,
                     "evaluation.budgets or evaluation.rows_per_pass"});
  }
  if (const RecallOptions recall = recall_options(*setting.config); recall.facts > 0) {
    const std::int64_t facts = std::min(recall.facts, facts_together(recall, policies));
    const std::int64_t farthest = *std::max_element(recall.evictions.begin(), recall.evictions.end());
    items.push_back(
        {concat("full caches of ", 2 * facts, " planted texts"),
         static_cast<double>(2 * facts) * full_cache_bytes(setting, static_cast<double>(planted_tokens(
                                                                        setting.config->eviction, farthest))),
         true, "evaluation.recall_evictions or evaluation.rows_per_pass"});
  }
  if (!own.detail) return items;
  const auto count = static_cast<double>(together);
  items.push_back({concat("full caches of ", together, " traces"),
                   count * full_cache_bytes(setting, static_cast<double>(setting.longest_tokens)), true,
                   "evaluation.rows_per_pass, or set evaluation.detail=false"});
  items.push_back({"full-KV states",
                   count * static_cast<double>(2 * kForwardTokens * setting.shape->hidden_size) * 4, true,
                   "evaluation.rows_per_pass"});
  append(items, golden_plan_memory(setting, count, /*candidates=*/true));
  const CacheSize& size = setting.config->eviction;
  items.push_back({"entries next to golden's cut",
                   count * heads_of(*setting.shape) *
                       static_cast<double>(size.steps(setting.longest_tokens) * cut_entries(size)) * 2,
                   false, "data.trace_tokens"});
  items.push_back({"recorded attention of the next windows", static_cast<double>(kStripBytes), false, ""});
  return items;
}

double host_bytes(const std::vector<MemoryItem>& items, const ModelOptions& options) {
  double bytes = 0;
  for (const MemoryItem& item : items) bytes += item.on_device && options.device.is_cuda() ? 0 : item.bytes;
  return bytes;
}

double device_bytes(const std::vector<MemoryItem>& items, const ModelOptions& options) {
  double bytes = 0;
  for (const MemoryItem& item : items) bytes += item.on_device && options.device.is_cuda() ? item.bytes : 0;
  return bytes;
}

}  // namespace foresight
