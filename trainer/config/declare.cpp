#include "trainer/config/declare.h"

#include <limits>
#include <optional>

#include "trainer/config/declarer.h"

namespace foresight {
namespace {

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
         "today's date for chat templates (YYYY-MM-DD); empty: none, so that prompts do not "
         "change from day to day; a template then uses its own date or refuses",
         kMayChangeOnResume);
  return section;
}

template <class Reach>
Section declare_data(Reach reach) {
  Section section{"data", "The finished traces that the scorer learns from", {}};
  Declarer to(section, reach);
  using C = DataConfig;
  to.key("train", &C::train, TextListType{.may_be_empty = false}, "JSONL files of training rows",
         kRequiredPath.content_compared_on_resume());
  to.key("evaluation", &C::evaluation, TextListType{},
         "JSONL files of held-out rows; no stage trains on them", kPath.may_change_on_resume());
  to.key("pack", &C::pack, BooleanType{}, "join short rows into traces of trace_tokens");
  to.key("trace_tokens", &C::trace_tokens, IntegerType{2, kMostTokens},
         "tokens in a packed trace; longer rows are cut");
  to.key("max_train_traces", &C::max_train_traces, IntegerType{1, kMany},
         "number of training traces, taken from the start of the files");
  to.key("validation_traces", &C::validation_traces, IntegerType{1, kMany},
         "number of traces, taken after the training traces, that choose the best checkpoint");
  return section;
}

template <class Reach>
Section declare_traces(Reach reach) {
  Section section{"traces", "Generation of traces from prompts with the full cache", {}};
  Declarer to(section, reach, OnResume::kMayChange);
  using C = TracesConfig;
  to.key("prompts", &C::prompts, TextListType{}, "JSONL files of prompts; empty: the stage is skipped",
         kPath);
  to.key("file", &C::file, TextType{}, "JSONL file to write, relative to output", kPath);
  to.key("max_new_tokens", &C::max_new_tokens, IntegerType{1, kMostTokens},
         "largest number of tokens generated for a prompt");
  to.key("samples_per_prompt", &C::samples_per_prompt, IntegerType{1, 1'000'000},
         "traces generated from each prompt");
  to.key("batch", &C::batch, IntegerType{1, 65'536}, "traces generated together");
  to.key("temperature", &C::temperature, NumberType{0, 100}, "sampling temperature; 0: greedy");
  to.key("top_p", &C::top_p, NumberType{0, 1, true}, "probability mass that is sampled from; 1: all");
  to.key("top_k", &C::top_k, IntegerType{0, kMany},
         "number of likeliest tokens that are sampled from; 0: no limit");
  return section;
}

template <class Reach>
Section declare_eviction(Reach reach) {
  Section section{"eviction", "Size of the cache, in tokens per KV head", {}};
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
  to.key(
      "block_tokens", &OracleConfig::block_tokens, IntegerType{0, kMostWindow},
      "query block of the recorded attention; 0: eviction.window; otherwise it must divide eviction.window");
  to.key("compression", &OracleConfig::compression, IntegerType{0, 9},
         "deflate level of the HDF5 chunks; 0: none", kMayChangeOnResume);
  return section;
}

template <class Reach>
Section declare_scorer(Reach reach) {
  Section section{"scorer", "Inputs and initial weights of the small network", {}};
  Declarer to(section, reach);
  to.choice(
      "features", &ScorerConfig::features,
      "normalized; extended: these, the age of an entry, and what it is among the others; relative: the "
      "extended ones with the key turned back by the newest token's position; serving: of the last 8 queries "
      "of a window and without sums over windows, so that an engine keeps nothing but key and value of an "
      "entry; released: the raw ones of the authors' code, to exchange scorers with it");
  to.key("initial", &ScorerConfig::initial, TextType{.choices = {}, .may_be_empty = true},
         "scorer file to start from; empty: random weights", kPath.content_compared_on_resume());
  return section;
}

// The keys of CheckpointConfig are in the section of the stage that owns them.
template <class Reach>
void declare_checkpoint(Section& section, Reach reach) {
  Declarer to(section, reach, OnResume::kMayChange);
  using C = CheckpointConfig;
  to.key("save_every", &C::save_every, IntegerType{1, kMany}, "steps between two checkpoints");
  to.key("evaluate_every", &C::evaluate_every, IntegerType{0, kMany},
         "steps between two evaluations on the validation traces; 0: only at the end");
  to.key("keep_last", &C::keep_last, IntegerType{1, 1'000'000}, "number of newest checkpoints to keep");
  to.key("keep_best", &C::keep_best, IntegerType{0, 1'000'000},
         "number of best checkpoints to keep besides the newest");
  to.key("resume", &C::resume, TextType{},
         "auto: resume from the newest checkpoint of the run; never: start from step 0; or the path of a "
         "checkpoint folder to resume from (one of another run is copied into this run and replaces its "
         "checkpoints)",
         kPath);
}

template <class Reach>
Section declare_supervised(Reach reach) {
  Section section{"supervised", "The ranking stage (section 3.2 of the paper)", {}};
  Declarer to(section, reach);
  using C = SupervisedConfig;
  to.key("steps", &C::steps, IntegerType{1, kMany}, "optimiser steps of all rounds together");
  to.choice(
      "states", &C::states,
      "states that the scorer learns to rank; golden: those of the golden plan, as in the paper; own: those "
      "first, and then in `rounds` further rounds the states that the scorer's own evictions lead to; both: "
      "in "
      "these rounds the golden ones of the same evictions beside them",
      before_it_was("golden"));
  to.key(
      "rounds", &C::rounds, IntegerType{1, 1000},
      "with states: own or both, number of rounds on the scorer's own states; these and the first round, on "
      "golden states, share the steps evenly");
  to.key("learning_rate", &C::learning_rate, NumberType{0, 10, true},
         "Adam learning rate after the warm-up, with cosine decay; every round starts it again");
  to.key("own_learning_rate", &C::own_learning_rate, NumberType{0, 10, true},
         "the same for rounds on own states");
  to.key("warmup_steps", &C::warmup_steps, IntegerType{0, kMany}, "steps of linear warm-up in each round");
  to.key("gradient_clip", &C::gradient_clip, NumberType{0, 1e6},
         "global gradient norm over all layers; 0: none");
  to.key("budgets", &C::budgets, IntegerListType{1, kMostTokens},
         "budgets to train at, for one scorer that serves all of them: traces take turns, and so do rounds; "
         "eviction.budget must be one of them; empty: eviction.budget alone");
  to.key("margin", &C::margin, NumberType{0, 1000, true}, "margin of the pairwise hinge loss");
  to.choice("pair_weight", &C::pair_weight,
            "weight of a pair of entries in the loss: the gap between their oracle scores (the attention "
            "that is lost if the wrong one is evicted), or uniform as in the paper");
  to.key("traces_per_step", &C::traces_per_step, IntegerType{1, 1'000'000}, "traces in an optimiser step");
  to.key("evictions_per_trace", &C::evictions_per_trace, IntegerType{0, 1'000'000},
         "eviction steps sampled from each trace in an optimiser step; 0: all");
  to.choice(
      "features", &C::features,
      "where the features of a step come from; cache: traces are replayed once per round and stored in the "
      "run's folder (every entry's key and value once, and as many evictions of each trace as features_gib "
      "holds); stream: each step replays its traces, on own states under the current scorer, and stores "
      "nothing; auto: cache if enough evictions fit");
  to.key(
      "features_gib", &C::features_gib, NumberType{0, 1e6, true},
      "largest size of the cache of features on disk, in GiB; with states: both, a half is for own states");
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
         "evictions are sampled from the candidates of highest score, this many windows of them");
  to.choice("likelihood", &C::likelihood,
            "likelihood of a sampled eviction; plackett_luce: exact without replacement; independent: "
            "independent terms as in the authors' code");
}

template <class Declare>
void declare_grpo_reward(Declare& to) {
  using C = GrpoConfig;
  to.choice("credit", &C::credit,
            "what an eviction is credited with; step: the windows after it; trace: the whole trace");
  to.key("credit_discount", &C::credit_discount, NumberType{0, 1}, "discount per window if credit is step");
  to.choice("advantage", &C::advantage,
            "deviation by which a group's credits are divided; trace: that of all steps of the trace, so "
            "that a window in which nothing happened counts little; step: that of each step separately",
            before_it_was("step"));
  to.choice("reward", &C::reward,
            "how a reward is computed from the loss rises of tokens; expected_rise: the rise that the "
            "predictions of full KV expect (their KL divergence), which has the same mean on the model's own "
            "text and less noise");
  to.choice("reward_tokens", &C::reward_tokens, "tokens whose loss counts in the reward");
  to.key("low_entropy_share", &C::low_entropy_share, NumberType{0, 1, true},
         "share of the scored tokens that count as low-entropy");
  to.key("reward_threshold_nats", &C::reward_threshold_nats, NumberType{0, 1000},
         "smallest loss rise that counts if reward is squared_large_rise");
  to.key("reward_clamp_low_nats", &C::reward_clamp_low_nats, NumberType{-1000, 1000},
         "lower bound of a token's rise if reward is clamped_rise");
  to.key("reward_clamp_high_nats", &C::reward_clamp_high_nats, NumberType{-1000, 1000},
         "upper bound of a token's rise if reward is clamped_rise");
}

template <class Reach>
Section declare_grpo(Reach reach) {
  Section section{"grpo", "The reinforcement-learning stage (section 3.3 of the paper)", {}};
  Declarer to(section, reach);
  using C = GrpoConfig;
  to.key(
      "steps", &C::steps, IntegerType{0, kMany},
      "steps, each with a batch of rollouts; 0: no reinforcement learning (budget = window is then allowed)");
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
         "rollouts that go through the model together, whole groups if they fit; ranks share out these units",
         kMayChangeOnResume);
  to.key("updates_per_batch", &C::updates_per_batch, IntegerType{1, 1000},
         "optimiser updates from each batch");
  to.key("budgets", &C::budgets, IntegerListType{1, kMostTokens},
         "budgets to train at: steps take turns; eviction.budget must be one of them; empty: eviction.budget "
         "alone");
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

template <class Reach>
Section declare_runtime(Reach reach) {
  Section section{"runtime", "Device, number types, threads, seed, ranks", {}};
  Declarer to(section, reach);
  using C = RuntimeConfig;
  to.key("device", &C::device, TextType{{"auto", "cpu", "cuda"}},
         "device of the model; auto: a GPU if there is one");
  to.key("dtype", &C::dtype, TextType{{"auto", "float32", "bfloat16"}},
         "number type of the language model's matrix products; auto: bfloat16 if the processor or the GPU "
         "supports it");
  to.key("cache_dtype", &C::cache_dtype, TextType{{"auto", "float32", "bfloat16"}},
         "number type of the keys and values in caches; auto: that of the matrix products");
  to.key("threads", &C::threads, IntegerType{0, 1024},
         "CPU threads; 0: OMP_NUM_THREADS if set, else the process's share of the cores that it may use "
         "(other ranks on the host have the rest)",
         kMayChangeOnResume);
  to.key("seed", &C::seed, IntegerType{0, std::numeric_limits<std::int64_t>::max()},
         "seed of every random stream of the run");
  to.key("deterministic", &C::deterministic, BooleanType{},
         "add up the results of ranks in a fixed order, so that any number of ranks gives the same bytes on "
         "a CPU with the same `threads`; false: less traffic between ranks",
         kMayChangeOnResume);
  to.key("silence_limit_s", &C::silence_limit_s, IntegerType{1, 1000000},
         "if a rank is not heard from for this long, the job ends", kMayChangeOnResume);
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
      declare_evaluation(),
      declare_generation(),
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
