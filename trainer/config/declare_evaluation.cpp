// The keys of the sections evaluation and generation.
#include "trainer/config/declarer.h"

namespace foresight {
namespace {

template <class Declare>
void declare_tasks(Declare& to) {
  using C = EvaluationConfig;
  to.key(
      "tasks", &C::tasks, TextListType{},
      "JSONL files of problems with answers (question and answer as in GSM8K or AIME, or prompt and answer), "
      "which every policy solves; lengths and sampling are those of the generation section",
      kPath);
  to.key("task_problems", &C::task_problems, IntegerType{1, kMany},
         "number of problems, taken from the start of the files");
  to.key("task_samples", &C::task_samples, IntegerType{0, 4096},
         "sampled solutions of each problem besides the greedy one; the accuracy is their mean (avg@k)");
  to.key("task_instruction", &C::task_instruction, TextType{.choices = {}, .may_be_empty = true},
         "text that is appended to a problem that is not a chat");
  to.key("passkey_tokens", &C::passkey_tokens, IntegerType{0, kMostTokens},
         "length of the texts in which five-digit numbers are hidden; the model is then asked for them; 0: "
         "not measured");
  to.key("passkey_keys", &C::passkey_keys, IntegerType{1, 1000}, "numbers hidden at each of five depths");
  to.key("continued_prompts", &C::continued_prompts, IntegerType{0, kMany},
         "prompts of held-out traces that every policy continues greedily; 0: none");
  to.key("recall_facts", &C::recall_facts, IntegerType{0, kMany},
         "facts planted at each distance and asked for; 0: not measured");
  to.key("recall_evictions", &C::recall_evictions, IntegerListType{1, kMostTokens},
         "distances of planted facts: evictions between a fact and the question for it");
}

}  // namespace

Section declare_evaluation() {
  const auto reach = [](auto& config) -> auto& {
    return config.evaluation;
  };
  Section section{"evaluation", "Comparison of policies on held-out traces", {}};
  Declarer to(section, reach, OnResume::kMayChange);
  using C = EvaluationConfig;
  to.key("policies", &C::policies, TextListType{.may_be_empty = false},
         "full, golden, supervised, grpo, random, random_protected, recency_protected, streaming_llm, h2o, "
         "snapkv, tova, keydiff, rkv, vase, or scorer files (.safetensors)",
         kPath);
  to.key("max_traces", &C::max_traces, IntegerType{1, kMany},
         "number of held-out traces, taken from the start of the files");
  to.choice("score", &C::score, "tokens whose loss counts: all scored tokens, or only those of completions");
  to.key("budgets", &C::budgets, IntegerListType{1, kMostTokens},
         "further budgets at which every policy is evaluated, at the same window; all budgets score the same "
         "tokens");
  to.key("detail", &C::detail, BooleanType{},
         "also measure KL divergence, top-1 agreement, attention kept, overlap with golden, accuracy at "
         "golden's cut, churn, survival of the prompt and `token_view`");
  to.key("random_seeds", &C::random_seeds, IntegerType{1, 1000},
         "number of runs of the random policy, each with its own seed; its figures are their mean");
  to.key(
      "cost_contexts", &C::cost_contexts, IntegerListType{1, kMostTokens},
      "context lengths at which cache memory, prefill and decoding speed are measured; empty: not measured");
  to.key("cost_batch", &C::cost_batch, IntegerType{1, 4096},
         "rows of the batch whose decoding speed is measured, besides that of a single row");
  to.key("rows_per_pass", &C::rows_per_pass, IntegerType{1, 65'536},
         "rows (traces x policies) in one forward pass");
  declare_tasks(to);
  return section;
}

Section declare_generation() {
  const auto reach = [](auto& config) -> auto& {
    return config.generation;
  };
  Section section{"generation", "Generation of text under a policy", {}};
  Declarer to(section, reach, OnResume::kMayChange);
  using C = GenerationConfig;
  to.key("policy", &C::policy, TextType{},
         "a name as in evaluation.policies (not golden, which needs the future), or a scorer file", kPath);
  to.key("max_new_tokens", &C::max_new_tokens, IntegerType{1, kMostTokens},
         "largest number of tokens generated for a prompt");
  to.key("temperature", &C::temperature, NumberType{0, 100}, "sampling temperature; 0: greedy");
  to.key("top_p", &C::top_p, NumberType{0, 1, true}, "probability mass that is sampled from; 1: all");
  to.key("top_k", &C::top_k, IntegerType{0, kMany},
         "number of likeliest tokens that are sampled from; 0: no limit");
  return section;
}

}  // namespace foresight
