// The prompts from which an evaluation generates text, checked before anything is measured.
#pragma once

#include <vector>

#include "data/trace_rows.h"
#include "trainer/config/config.h"
#include "trainer/evaluation/scored_traces.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// The first evaluation.task_problems problems of the task files. Throws Error(kInput), naming file and line,
/// for a file that cannot be read and a problem without an answer.
std::vector<PromptRow> read_problems(const EvaluationConfig& config);

/// Checks that all files of tasks, passkeys, planted facts and cost_contexts exist, that prompts can be
/// rendered, and that they fit the model's positions together with the text generated after them. Throws
/// Error(kInput) or Error(kConfig), naming file and line or the key.
void require_generation_inputs(const Config& config, const Transformer& model, const Tokenizer& tokenizer);

/// Checks that the prompts which evaluation.continued_prompts continues, those of the first evaluation
/// traces, leave room in the model's positions. Throws Error(kConfig) naming the trace.
void require_continued_prompts(const Config& config, const Transformer& model, const Completions& traces);

}  // namespace foresight
