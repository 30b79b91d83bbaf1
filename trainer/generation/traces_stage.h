// The traces stage: prompts to full-KV traces, written by the model itself.
#pragma once

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/chat_template.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// Where the stage's output lies: traces.file under the run's folder, unless it is absolute.
std::filesystem::path traces_file(const Config& config);

/// Generates traces.samples_per_prompt completions of every prompt of traces.prompts, traces.batch at a time;
/// batches are dealt out to ranks, each finished one is kept, so that a stopped stage goes on where it was.
/// Rows: prompt, completion, answer (where the prompt has one), finished (false: cut at max_new_tokens),
/// source. Throws Error(kInterrupted) after a stop signal.
void run_traces(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                const ChatTemplate& chat, World& world);
/// True when every batch of this model and these settings is generated: a traces file that is there without
/// them comes from others, or from elsewhere. Throws Error(kInput) for prompts that cannot be read.
bool has_generated(const Config& config, const Transformer& model, const Tokenizer& tokenizer,
                   const ChatTemplate& chat);

}  // namespace foresight
