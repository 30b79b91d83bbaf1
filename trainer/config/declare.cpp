#include "trainer/config/declare.h"

#include <limits>
#include <optional>

#include "trainer/config/declarer.h"

namespace foresight {
namespace {

constexpr std::int64_t kMany = 1'000'000'000;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;
constexpr std::int64_t kMostWindow = std::int64_t{1} << 16;

template <class Reach>
Section declare_top(Reach reach) {
  Section section{"", "At the top of the file", {}};
  Declarer to(section, reach);
  to.key("output", &Config::output, TextType{}, "folder of the run; everything it writes lies in it",
         kRequiredPath.may_change_on_resume());
  return section;
}

template <class Reach>
Section declare_model(Reach reach) {
  Section section{"model", "The language model whose cache is evicted", {}};
  Declarer to(section, reach);
  to.key("path", &ModelConfig::path, TextType{},
         "Hugging Face model folder: config.json, model.safetensors, tokenizer.json",
         kRequiredPath.content_compared_on_resume());
  to.key("template_date", &ModelConfig::template_date, TextType{.choices = {}, .may_be_empty = true},
         "the date that a chat template is told for today (YYYY-MM-DD); empty: none, so that prompts do not "
         "change from day to day: templates take the one they hold, or refuse",
         kMayChangeOnResume);
  return section;
}

template <class Reach>
Section declare_data(Reach reach) {
  Section section{"data", "The finished traces that everything is learned from", {}};
  Declarer to(section, reach);
  using C = DataConfig;
  to.key("train", &C::train, TextListType{.may_be_empty = false}, "JSONL files of training rows",
         kRequiredPath.content_compared_on_resume());
  to.key("evaluation", &C::evaluation, TextListType{}, "JSONL files of held-out rows; never trained on",
         kPath.may_change_on_resume());
  to.key("pack", &C::pack, BooleanType{}, "join short rows to traces of trace_tokens");
  to.key("trace_tokens", &C::trace_tokens, IntegerType{2, kMostTokens},
         "tokens in a packed trace; longer rows are cut");
  to.key("max_train_traces", &C::max_train_traces, IntegerType{1, kMany},
         "training traces used, from the start of the files");
  to.key("validation_traces", &C::validation_traces, IntegerType{1, kMany},
         "traces taken after the training traces, to choose the best checkpoint");
  return section;
}

template <class Reach>
Section declare_traces(Reach reach) {
  Section section{"traces", "Full-KV generation of traces from prompts", {}};
  Declarer to(section, reach, OnResume::kMayChange);
  using C = TracesConfig;
  to.key("prompts", &C::prompts, TextListType{}, "JSONL files of prompts; empty: the stage is skipped",
         kPath);
  to.key("file", &C::file, TextType{}, "JSONL file that is written, relative to output", kPath);
  to.key("max_new_tokens", &C::max_new_tokens, IntegerType{1, kMostTokens},
         "most tokens generated for a prompt");
  to.key("samples_per_prompt", &C::samples_per_prompt, IntegerType{1, 1'000'000},
         "traces made of each prompt");
  to.key("batch", &C::batch, IntegerType{1, 65'536}, "traces generated side by side");
  to.key("temperature", &C::temperature, NumberType{0, 100}, "of the draw; 0: greedy");
  to.key("top_p", &C::top_p, NumberType{0, 1, true}, "probability mass that is drawn from; 1: all");
  to.key("top_k", &C::top_k, IntegerType{0, kMany}, "likeliest tokens that are drawn from; 0: no limit");
  return section;
}

template <class Reach>
Section declare_eviction(Reach reach) {
  Section section{"eviction", "The cache, in tokens per KV head", {}};
  Declarer to(section, reach);
  to.key("budget", &CacheSize::budget, IntegerType{1, kMostTokens},
         "entries kept after an eviction; a multiple of window");
  to.key("window", &CacheSize::window, IntegerType{1, kMostWindow},
         "tokens between two evictions; the newest window entries are never evicted");
  to.key("protect_sinks", &CacheSize::protect_sinks, IntegerType{0, kMostTokens},
         "first tokens of a trace that no policy evicts, in training, evaluation and generation; stored with "
         "scorers");
  to.key(
      "protect_prompt", &CacheSize::protect_prompt, BooleanType{},
      "no policy evicts tokens of the prompt (those before a trace's first completion); of a prompt longer "
      "than budget - window the first budget - window are protected");
  return section;
}

template <class Reach>
Section declare_oracle(Reach reach) {
  Section section{"oracle", "The Golden Eviction pass", {}};
  Declarer to(section, reach);
  to.key("block_tokens", &OracleConfig::block_tokens, IntegerType{0, kMostWindow},
         "query block of the recorded attention; 0: eviction.window; must divide it");
  to.key("compression", &OracleConfig::compression, IntegerType{0, 9},
         "deflate level of the HDF5 chunks; 0: none", kMayChangeOnResume);
  return section;
}

template <class Reach>
Section declare_scorer(Reach reach) {
  Section section{"scorer", "What the small network sees and starts from", {}};
  Declarer to(section, reach);
  to.choice(
      "features", &ScorerConfig::features,
      "normalized, or the raw features of the authors' released code (needed to exchange scorers with it)");
  to.key("initial", &ScorerConfig::initial, TextType{.choices = {}, .may_be_empty = true},
         "scorer file to start from; empty: random weights", kPath.content_compared_on_resume());
  return section;
}

// The keys of CheckpointConfig stand in the section of the stage that owns them.
template <class Reach>
void declare_checkpoint(Section& section, Reach reach) {
  Declarer to(section, reach, OnResume::kMayChange);
  using C = CheckpointConfig;
  to.key("save_every", &C::save_every, IntegerType{1, kMany}, "steps between two checkpoints");
  to.key("evaluate_every", &C::evaluate_every, IntegerType{0, kMany},
         "steps between two evaluations on the validation traces; 0: only at the end");
  to.key("keep_last", &C::keep_last, IntegerType{1, 1'000'000}, "newest checkpoints that are kept");
  to.key("keep_best", &C::keep_best, IntegerType{0, 1'000'000},
         "best checkpoints that are kept besides them");
  to.key("resume", &C::resume, TextType{},
         "auto: go on from the newest checkpoint of the run; never: start anew; or the path of a checkpoint "
         "folder (another run's is copied into this one, in place of its own)",
         kPath);
}

template <class Reach>
Section declare_supervised(Reach reach) {
  Section section{"supervised", "The ranking stage (paper section 3.2)", {}};
  Declarer to(section, reach);
  using C = SupervisedConfig;
  to.key("steps", &C::steps, IntegerType{1, kMany}, "optimiser steps of all rounds together");
  to.choice(
      "states", &C::states,
      "which states the scorer learns to rank: golden: those that the golden plan leads through; own: those, "
      "and then in `rounds` further rounds the ones that the scorer's own evictions lead through");
  to.key(
      "rounds", &C::rounds, IntegerType{1, 1000},
      "with states: own, rounds on the scorer's own states; the steps are shared evenly among these and the "
      "first round, on golden states");
  to.key("learning_rate", &C::learning_rate, NumberType{0, 10, true},
         "Adam learning rate after the warm-up; cosine decay, in each round anew");
  to.key("own_learning_rate", &C::own_learning_rate, NumberType{0, 10, true},
         "the same in rounds on own states");
  to.key("warmup_steps", &C::warmup_steps, IntegerType{0, kMany}, "steps of linear warm-up in each round");
  to.key("gradient_clip", &C::gradient_clip, NumberType{0, 1e6},
         "global gradient norm over all layers; 0: none");
  to.key("margin", &C::margin, NumberType{0, 1000, true}, "margin of the pairwise hinge loss");
  to.choice(
      "pair_weight", &C::pair_weight,
      "what a pair of entries weighs in the loss: the gap between their oracle scores (the attention lost "
      "when the wrong one is evicted), or uniform as in the paper");
  to.key("traces_per_step", &C::traces_per_step, IntegerType{1, 1'000'000}, "traces in an optimiser step");
  to.key("evictions_per_trace", &C::evictions_per_trace, IntegerType{0, 1'000'000},
         "eviction steps drawn from each trace in an optimiser step; 0: all");
  to.choice("features", &C::features,
            "where the features of a step come from: cache: replayed once a round and stored under the run's "
            "folder "
            "(every entry's key and value once, and as many evictions of each trace as features_gib holds); "
            "stream: each step replays its traces, under the current scorer where states are its own, and "
            "nothing is stored; auto: cache where enough evictions fit");
  to.key("features_gib", &C::features_gib, NumberType{0, 1e6, true},
         "most that the cache of features takes on disk, in GiB");
  to.key("keep_features", &C::keep_features, BooleanType{},
         "keep the cached features on disk after the stage", kMayChangeOnResume);
  declare_checkpoint(
      section, [reach](auto& config) -> auto& { return reach(config).checkpoint; });
  return section;
}

template <class Declare>
void declare_grpo_policy(Declare& to) {
  using C = GrpoConfig;
  to.key("temperature", &C::temperature, NumberType{0, 100, true},
         "logits = score / temperature; stored with the policy");
  to.key("shortlist_windows", &C::shortlist_windows, IntegerType{2, 1'000'000},
         "evictions are drawn from this many windows of the highest scores");
  to.choice("likelihood", &C::likelihood,
            "likelihood of a draw: exact without replacement, or independent terms (as the released code)");
}

template <class Declare>
void declare_grpo_reward(Declare& to) {
  using C = GrpoConfig;
  to.choice("credit", &C::credit,
            "what an eviction is credited with: the windows after it, or the whole trace");
  to.key("credit_discount", &C::credit_discount, NumberType{0, 1}, "discount per window with credit: step");
  to.choice(
      "advantage", &C::advantage,
      "over what the deviation is taken that a group's credits are divided by: all steps of the trace, so "
      "that a window in which nothing happened says little, or each step by itself");
  to.choice(
      "reward", &C::reward,
      "how the loss rises of tokens make a reward; expected_rise: the rise that full KV's predictions expect "
      "(their KL divergence), the same mean on the model's own text with less noise");
  to.choice("reward_tokens", &C::reward_tokens, "tokens whose loss counts");
  to.key("low_entropy_share", &C::low_entropy_share, NumberType{0, 1, true},
         "share of the scored tokens that count as low-entropy");
  to.key("reward_threshold_nats", &C::reward_threshold_nats, NumberType{0, 1000},
         "least loss rise that counts with reward: squared_large_rise");
  to.key("reward_clamp_low_nats", &C::reward_clamp_low_nats, NumberType{-1000, 1000},
         "lower bound of a token's rise with reward: clamped_rise");
  to.key("reward_clamp_high_nats", &C::reward_clamp_high_nats, NumberType{-1000, 1000},
         "upper bound of a token's rise with reward: clamped_rise");
}

template <class Reach>
Section declare_grpo(Reach reach) {
  Section section{"grpo", "The reinforcement-learning stage (paper section 3.3)", {}};
  Declarer to(section, reach);
  using C = GrpoConfig;
  to.key("steps", &C::steps, IntegerType{0, kMany},
         "batches of rollouts; 0: none (budget = window is then allowed)");
  to.key("learning_rate", &C::learning_rate, NumberType{0, 10, true}, "Adam learning rate after the warm-up");
  to.choice("learning_rate_schedule", &C::learning_rate_schedule,
            "decay of the learning rate over the steps");
  to.key("warmup_steps", &C::warmup_steps, IntegerType{0, kMany}, "steps of linear warm-up");
  to.key("gradient_clip", &C::gradient_clip, NumberType{0, 1e6},
         "global gradient norm over all layers; 0: none");
  to.key("traces_per_step", &C::traces_per_step, IntegerType{1, 1'000'000}, "traces in a step");
  to.key("group_size", &C::group_size, IntegerType{2, 4096},
         "rollouts of each trace; a group needs at least 2");
  to.key("rollouts_per_pass", &C::rollouts_per_pass, IntegerType{1, 65'536},
         "rollouts that go through the model together, whole groups where they fit; what is dealt to ranks",
         kMayChangeOnResume);
  to.key("updates_per_batch", &C::updates_per_batch, IntegerType{1, 1000},
         "optimiser updates from each batch");
  declare_grpo_policy(to);
  declare_grpo_reward(to);
  to.key("clip_range", &C::clip_range, NumberType{0, 1, true},
         "likelihood ratios are clipped to 1 - clip_range .. 1 + clip_range");
  to.key("kl_weight", &C::kl_weight, NumberType{0, 1000},
         "weight of the KL divergence from the starting scorer");
  to.choice("kl_schedule", &C::kl_schedule, "constant, or decay of the KL weight to 0 over the steps");
  to.key("start", &C::start, TextType{.choices = {}, .may_be_empty = true},
         "scorer file to start from; empty: the best supervised checkpoint",
         kPath.content_compared_on_resume());
  declare_checkpoint(
      section, [reach](auto& config) -> auto& { return reach(config).checkpoint; });
  return section;
}

template <class Declare>
void declare_tasks(Declare& to) {
  using C = EvaluationConfig;
  to.key(
      "tasks", &C::tasks, TextListType{},
      "JSONL files of problems with answers (question and answer as in GSM8K or AIME, or prompt and answer), "
      "solved under every policy; lengths and sampling as in generation",
      kPath);
  to.key("task_problems", &C::task_problems, IntegerType{1, kMany},
         "problems used, from the start of the files");
  to.key("task_samples", &C::task_samples, IntegerType{0, 4096},
         "sampled solutions of each problem besides the greedy one: accuracy is their mean (avg@k)");
  to.key("task_instruction", &C::task_instruction, TextType{.choices = {}, .may_be_empty = true},
         "put behind the text of a problem that is no chat");
  to.key("passkey_tokens", &C::passkey_tokens, IntegerType{0, kMostTokens},
         "length of the texts in which five-digit numbers are hidden and asked for; 0: not measured");
  to.key("passkey_keys", &C::passkey_keys, IntegerType{1, 1000}, "numbers hidden at each of five depths");
}

template <class Reach>
Section declare_evaluation(Reach reach) {
  Section section{"evaluation", "Policies side by side on held-out traces", {}};
  Declarer to(section, reach, OnResume::kMayChange);
  using C = EvaluationConfig;
  to.key("policies", &C::policies, TextListType{.may_be_empty = false},
         "full, golden, supervised, grpo, random, random_protected, recency_protected, streaming_llm, h2o, "
         "snapkv, "
         "tova, keydiff, rkv, or scorer files (.safetensors)",
         kPath);
  to.key("max_traces", &C::max_traces, IntegerType{1, kMany},
         "held-out traces used, from the start of the files");
  to.choice("score", &C::score, "all scored tokens, or only those of completions");
  to.key("budgets", &C::budgets, IntegerListType{1, kMostTokens},
         "budgets that every policy is evaluated at besides eviction.budget, at the same window; one set of "
         "tokens is scored for all of them");
  to.key("detail", &C::detail, BooleanType{},
         "measure KL divergence, top-1 agreement, attention kept and overlap with golden too");
  to.key("random_seeds", &C::random_seeds, IntegerType{1, 1000},
         "runs of the random policy with seeds of their own; its figures are their mean");
  to.key(
      "cost_contexts", &C::cost_contexts, IntegerListType{1, kMostTokens},
      "context lengths at which cache memory, prefill and decoding speed are measured; empty: not measured");
  to.key("cost_batch", &C::cost_batch, IntegerType{1, 4096},
         "rows whose decoding speed is measured together, besides one row alone");
  to.key("rows_per_pass", &C::rows_per_pass, IntegerType{1, 65'536}, "traces x policies in one forward pass");
  declare_tasks(to);
  return section;
}

template <class Reach>
Section declare_generation(Reach reach) {
  Section section{"generation", "Text with a policy", {}};
  Declarer to(section, reach, OnResume::kMayChange);
  using C = GenerationConfig;
  to.key("policy", &C::policy, TextType{},
         "a name as in evaluation.policies (not golden, which needs the future), or a scorer file", kPath);
  to.key("max_new_tokens", &C::max_new_tokens, IntegerType{1, kMostTokens},
         "most tokens generated for a prompt");
  to.key("temperature", &C::temperature, NumberType{0, 100}, "of the draw; 0: greedy");
  to.key("top_p", &C::top_p, NumberType{0, 1, true}, "probability mass that is drawn from; 1: all");
  to.key("top_k", &C::top_k, IntegerType{0, kMany}, "likeliest tokens that are drawn from; 0: no limit");
  return section;
}

template <class Reach>
Section declare_runtime(Reach reach) {
  Section section{"runtime", "Device, numbers, threads, seed", {}};
  Declarer to(section, reach);
  using C = RuntimeConfig;
  to.key("device", &C::device, TextType{{"auto", "cpu", "cuda"}}, "auto: a GPU where there is one");
  to.key("dtype", &C::dtype, TextType{{"auto", "float32", "bfloat16"}},
         "numbers of the base model's matrix products");
  to.key("cache_dtype", &C::cache_dtype, TextType{{"auto", "float32", "bfloat16"}},
         "numbers of the keys and values in caches; auto: those of the matrix products");
  to.key("threads", &C::threads, IntegerType{0, 1024},
         "CPU threads; 0: OMP_NUM_THREADS, else the cores that this process may use and its host's other "
         "ranks do not share",
         kMayChangeOnResume);
  to.key("seed", &C::seed, IntegerType{0, std::numeric_limits<std::int64_t>::max()},
         "every random stream of the run follows from it");
  to.key(
      "deterministic", &C::deterministic, BooleanType{},
      "add up what ranks found in a fixed order, whatever their number: the same bytes on CPU for the same "
      "`threads`; false moves less between ranks",
      kMayChangeOnResume);
  to.key("silence_limit_s", &C::silence_limit_s, IntegerType{1, 1000000},
         "a rank that is not heard from for this long ends the job", kMayChangeOnResume);
  to.key("compare_ranks_every", &C::compare_ranks_every, IntegerType{0, 1000000},
         "steps between comparisons of the ranks' weights; 0: never", kMayChangeOnResume);
  to.key("tensorboard", &C::tensorboard, BooleanType{}, "TensorBoard event files beside metrics.jsonl",
         kMayChangeOnResume);
  return section;
}

}  // namespace

const std::vector<Section>& config_sections() {
  static const std::vector<Section> sections = {
      declare_top([](auto& config) -> auto& { return config; }),
      declare_model([](auto& config) -> auto& { return config.model; }),
      declare_data([](auto& config) -> auto& { return config.data; }),
      declare_traces([](auto& config) -> auto& { return config.traces; }),
      declare_eviction([](auto& config) -> auto& { return config.eviction; }),
      declare_oracle([](auto& config) -> auto& { return config.oracle; }),
      declare_scorer([](auto& config) -> auto& { return config.scorer; }),
      declare_supervised([](auto& config) -> auto& { return config.supervised; }),
      declare_grpo([](auto& config) -> auto& { return config.grpo; }),
      declare_evaluation([](auto& config) -> auto& { return config.evaluation; }),
      declare_generation([](auto& config) -> auto& { return config.generation; }),
      declare_runtime([](auto& config) -> auto& { return config.runtime; }),
  };
  return sections;
}

bool may_change_on_resume(const Key& key, Stage training, bool content_compared) {
  const std::optional<Stage> owner = training_stage_named(key.section);
  if (owner && owner != training) return true;
  return key.on_resume == OnResume::kMayChange ||
         (key.on_resume == OnResume::kCompareContent && content_compared);
}

const Key* find_key(const std::string& dotted) {
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) {
      if (key.dotted() == dotted) return &key;
    }
  }
  return nullptr;
}

}  // namespace foresight
