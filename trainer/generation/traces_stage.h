// The traces stage: the model itself generates full-KV traces from prompts.
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/chat_template.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Path of the stage's output: traces.file in the run's folder, unless it is absolute.
std::filesystem::path traces_file(const Config& config);

/// Generates traces.samples_per_prompt completions of every prompt of traces.prompts, traces.batch at a time;
/// batches are assigned to ranks, and finished ones are kept, so that a stopped stage resumes. Rows: prompt,
/// completion, answer (where the prompt has one), finished (false: cut at max_new_tokens), tokens (ids of
/// prompt and completion), prompt_tokens (how many are the prompt's), source, and the other columns of the
/// prompt's row. Throws Error(kInput) before anything is generated for a prompt that cannot be read or
/// rendered and Error(kConfig) for one too long for the model, naming file and line; Error(kInterrupted)
/// after a stop signal, Error(kConfig) where traces.file is one of the prompt files.
void run_traces(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                const ChatTemplate& chat, World& world);
/// What run_traces() checks first. Throws as it does.
void require_prompts(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                     const ChatTemplate& chat);
/// True if every batch of this model and these settings is generated. A traces file without these batches
/// comes from other settings, or from elsewhere. Throws Error(kInput) for prompts that cannot be read.
bool has_generated(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                   const ChatTemplate& chat);

}  // namespace foresight
