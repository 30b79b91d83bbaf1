// A config file that sets every key.
#pragma once

namespace foresight {

/// Every key with a value other than its default.
inline constexpr const char* kEverything = R"(
output: out
model:
  path: m
  template_date: 2026-11-28
data:
  train: [a.jsonl, 'b c.jsonl']
  evaluation: [e.jsonl]
  pack: false
  trace_tokens: 2048
  max_train_traces: 25
  validation_traces: 5
traces:
  prompts: [p.jsonl]
  file: t.jsonl
  max_new_tokens: 100
  samples_per_prompt: 2
  batch: 9
  temperature: 0.7
  top_p: 0.9
  top_k: 0
eviction: {budget: 128, window: 32, protect_sinks: 4, protect_prompt: true}
oracle:
  block_tokens: 16
  compression: 4
scorer: {features: released, initial: s.safetensors}
supervised:
  steps: 1001
  states: golden
  rounds: 4
  learning_rate: 3e-3
  own_learning_rate: 4e-3
  warmup_steps: 11
  gradient_clip: 0
  budgets: [64, 128]
  margin: 0.02
  pair_weight: uniform
  traces_per_step: 5
  evictions_per_trace: 0
  features: stream
  features_gib: 0.5
  keep_features: true
  save_every: 101
  evaluate_every: 102
  keep_last: 3
  keep_best: 4
  resume: never
grpo:
  steps: 41
  learning_rate: 2e-4
  learning_rate_schedule: linear
  warmup_steps: 1
  gradient_clip: 2
  traces_per_step: 3
  group_size: 12
  rollouts_per_pass: 24
  updates_per_batch: 2
  budgets: [128, 256]
  temperature: 0.1
  shortlist_windows: 3
  likelihood: independent
  credit: trace
  credit_discount: 0.25
  advantage: step
  reward: squared_large_rise
  reward_tokens: all
  low_entropy_share: 0.75
  reward_threshold_nats: 1.25
  reward_clamp_low_nats: -2
  reward_clamp_high_nats: 5.5
  clip_range: 0.1
  kl_weight: 0.01
  kl_schedule: cosine
  start: g.safetensors
  save_every: 11
  evaluate_every: 0
  keep_last: 5
  keep_best: 0
  resume: runs/old/step_20
evaluation:
  policies: [h2o, snapkv, tova, keydiff, x/y.safetensors]
  max_traces: 9
  score: completion
  rows_per_pass: 17
  budgets: [128, 192]
  detail: false
  random_seeds: 5
  cost_contexts: [512]
  cost_batch: 3
  tasks: [t.jsonl]
  task_problems: 3
  task_samples: 2
  task_instruction: Think.
  passkey_tokens: 900
  passkey_keys: 6
  continued_prompts: 7
  recall_facts: 5
  recall_evictions: [2, 9]
generation:
  policy: supervised
  max_new_tokens: 513
  temperature: 0
  top_p: 1
  top_k: 21
runtime: {device: cpu, dtype: float32, cache_dtype: bfloat16, threads: 2, seed: 9223372036854775807, deterministic: false,
  silence_limit_s: 30, compare_ranks_every: 7, tensorboard: true}
)";

}  // namespace foresight
