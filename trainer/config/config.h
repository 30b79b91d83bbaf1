// The whole experiment as plain structs: every default stands here, every key is declared in declare.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/cache_size.h"
#include "trainer/config/choices.h"

namespace foresight {

/// model: where the language model lies.
struct ModelConfig {
  std::string path;  ///< Hugging Face model folder: config.json, model.safetensors, tokenizer.json (required)
  std::string template_date;  ///< what chat templates are told for today, "2026-11-28"; empty: nothing
};

/// data: the finished traces that everything is learned from.
struct DataConfig {
  std::vector<std::string> train;       ///< JSONL files of training rows (required)
  std::vector<std::string> evaluation;  ///< JSONL files of held-out rows; never trained on
  bool pack = true;                     ///< join short rows to traces of trace_tokens
  std::int64_t trace_tokens = 1024;     ///< tokens in a packed trace; longer rows are cut
  std::int64_t max_train_traces = 24;   ///< training traces used, from the start of the files
  std::int64_t validation_traces =
      4;  ///< traces taken after the training traces, to choose the best checkpoint
};

/// traces: full-KV generation from prompts.
struct TracesConfig {
  std::vector<std::string> prompts;   ///< JSONL files of prompts; empty: the stage is skipped
  std::string file = "traces.jsonl";  ///< output, relative to `output`
  std::int64_t max_new_tokens = 1024;
  std::int64_t samples_per_prompt = 1;
  std::int64_t batch = 8;
  double temperature = 0.6;
  double top_p = 0.95;
  std::int64_t top_k = 20;  ///< 0: no limit
};

/// oracle: the Golden Eviction pass.
struct OracleConfig {
  std::int64_t block_tokens =
      0;  ///< query block of the recorded attention; 0: eviction.window; must divide it
  std::int64_t compression = 0;  ///< deflate level of the HDF5 chunks, 0 (none) to 9
};

/// scorer: what the small network sees.
struct ScorerConfig {
  ScorerFeatures features =
      ScorerFeatures::kNormalized;  ///< normalized | serving (of the last 8 queries of a window, no sums
                                    ///< over windows) | released (the authors' raw ones, their slip kept)
  std::string initial;              ///< scorer file to start from; empty: random
};

/// Saving and choosing checkpoints; shared by both training stages.
struct CheckpointConfig {
  std::int64_t save_every = 100;
  std::int64_t evaluate_every =
      100;  ///< steps between evaluations on the validation traces; 0: only at the end
  std::int64_t keep_last = 2;
  std::int64_t keep_best = 1;
  std::string resume = "auto";  ///< auto | never | path of a checkpoint folder
};

/// supervised: the ranking stage (paper section 3.2).
struct SupervisedConfig {
  std::int64_t steps = 1000;
  TrainingStates states = TrainingStates::kOwn;  ///< golden | own | both
  std::int64_t rounds = 1;  ///< on the scorer's own states, after one on golden states; they share the steps
  double learning_rate = 1e-2;
  double own_learning_rate = 3e-3;  ///< of the rounds on own states
  std::int64_t warmup_steps = 10;
  double gradient_clip = 1.0;                 ///< global norm over all layers; 0: none
  double margin = 0.01;                       ///< of the pairwise hinge
  PairWeight pair_weight = PairWeight::kGap;  ///< gap: by what the wrong order costs; uniform: the paper's
  std::int64_t traces_per_step = 4;
  std::int64_t evictions_per_trace = 3;           ///< eviction steps drawn from each trace in a step; 0: all
  FeatureSource features = FeatureSource::kAuto;  ///< auto | cache | stream
  double features_gib = 16;                       ///< most that a cache of features takes on disk
  std::vector<std::int64_t> budgets;              ///< to train at; empty: eviction.budget
  bool keep_features = false;                     ///< keep the cached features on disk after the stage
  CheckpointConfig checkpoint;                    ///< its keys stand in this section
};

/// grpo: the RL stage (paper section 3.3).
struct GrpoConfig {
  std::int64_t steps = 40;
  double learning_rate = 1e-4;
  Schedule learning_rate_schedule = Schedule::kCosine;
  std::int64_t warmup_steps = 0;
  double gradient_clip = 1.0;
  std::int64_t traces_per_step = 2;
  std::int64_t group_size = 8;
  std::int64_t rollouts_per_pass = 8;  ///< that go through the model together; the unit dealt to ranks
  std::int64_t updates_per_batch = 1;
  std::vector<std::int64_t> budgets;   ///< to train at; empty: eviction.budget
  double temperature = 0.05;           ///< logits = score / temperature; stored with the policy
  std::int64_t shortlist_windows = 2;  ///< the shortlist is this many windows of the highest scores
  Likelihood likelihood = Likelihood::kPlackettLuce;
  Credit credit = Credit::kStep;
  double credit_discount = 0.5;                       ///< per window, with credit: step
  AdvantageScale advantage = AdvantageScale::kTrace;  ///< over what credits are divided by their deviation
  RewardShape reward = RewardShape::kClampedRise;
  RewardTokens reward_tokens = RewardTokens::kLowEntropy;
  double low_entropy_share = 0.8;      ///< share of scored tokens that count as low-entropy
  double reward_threshold_nats = 1.5;  ///< of reward: squared_large_rise
  double reward_clamp_low_nats = -1.0;
  double reward_clamp_high_nats = 4.0;
  double clip_range = 0.2;
  double kl_weight = 0.05;
  Schedule kl_schedule = Schedule::kConstant;  ///< constant, or decayed to 0 over the steps
  std::string start;  ///< scorer to start from; empty: the best supervised checkpoint
  CheckpointConfig checkpoint{.save_every = 10, .evaluate_every = 10};
};

/// evaluation: policies side by side on held-out traces.
struct EvaluationConfig {
  std::vector<std::string> policies = {"full", "golden", "supervised",       "grpo",
                                       "rkv",  "random", "random_protected", "recency_protected"};
  std::int64_t max_traces = 8;
  ScoreTokens score = ScoreTokens::kAll;  ///< all scored tokens, or only those of completions
  std::vector<std::int64_t> budgets;      ///< budgets swept besides eviction.budget, at eviction.window
  bool detail = true;                     ///< distribution and attention measures too
  std::int64_t random_seeds = 3;          ///< runs of the random policy, averaged
  std::vector<std::int64_t>
      cost_contexts;                ///< context lengths at which memory and speed are measured; empty: not
  std::int64_t cost_batch = 8;      ///< rows decoded together besides one alone; 1: one alone only
  std::int64_t rows_per_pass = 16;  ///< traces x policies in one forward pass
  std::vector<std::string> tasks;   ///< JSONL files of problems with answers to solve; empty: none
  std::int64_t task_problems = 16;  ///< problems used, from the start of the files
  std::int64_t task_samples = 0;    ///< sampled solutions a problem (avg@k) besides the greedy one
  std::string task_instruction =
      "Reason step by step and put the final answer in \\boxed{}.";  ///< put behind a problem's text
  std::int64_t passkey_tokens = 0;     ///< length of the texts that a number is hidden in; 0: not measured
  std::int64_t passkey_keys = 4;       ///< numbers hidden at each depth
  std::int64_t continued_prompts = 0;  ///< prompts of evaluation traces continued greedily; 0: none
  std::int64_t recall_facts = 0;       ///< facts planted at each distance; 0: not measured
  std::vector<std::int64_t> recall_evictions = {3, 15, 39, 57};  ///< distances, evictions until the question
};

/// generation: text with a policy.
struct GenerationConfig {
  std::string policy = "grpo";
  std::int64_t max_new_tokens = 512;
  double temperature = 0.6;  ///< 0: greedy
  double top_p = 0.95;
  std::int64_t top_k = 20;
};

/// runtime: device, numbers, threads, seed.
struct RuntimeConfig {
  std::string device = "auto";  ///< auto | cpu | cuda
  std::string dtype = "auto";   ///< auto | float32 | bfloat16: of the base model's matrix products
  std::string cache_dtype =
      "auto";                ///< auto | float32 | bfloat16: of keys and values in caches; auto: as dtype
  std::int64_t threads = 0;  ///< 0: those granted
  std::int64_t seed = 1;
  bool deterministic = true;              ///< sums over ranks in a fixed order
  std::int64_t silence_limit_s = 600;     ///< how long a rank may be silent
  std::int64_t compare_ranks_every = 10;  ///< steps between comparisons of the ranks' weights; 0: never
  bool tensorboard = false;               ///< event files beside metrics.jsonl
};

/// One YAML file; `output` is the run's folder.
struct Config {
  std::string output;
  ModelConfig model;
  DataConfig data;
  TracesConfig traces;
  CacheSize eviction;  ///< the cache, in tokens per KV head
  OracleConfig oracle;
  ScorerConfig scorer;
  SupervisedConfig supervised;
  GrpoConfig grpo;
  EvaluationConfig evaluation;
  GenerationConfig generation;
  RuntimeConfig runtime;
};

}  // namespace foresight
