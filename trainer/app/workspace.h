// What most commands need: threads, model and tokenizer of a config.
#pragma once

#include "trainer/config/config.h"
#include "trainer/model/transformer.h"
#include "trainer/text/tokenizer.h"

namespace foresight {

/// The model and its tokenizer, checked against each other.
struct Workspace {
  Transformer model;
  Tokenizer tokenizer;
};

/// Sets the threads of runtime.threads and loads the model. Throws Error(kInput) when the tokenizer has more
/// tokens than the model has rows.
Workspace open_workspace(const Config& config);

/// Threads that this config uses.
int thread_count(const Config& config);

}  // namespace foresight
