// What most commands need: threads, model and tokenizer of a config.
#pragma once

#include "trainer/comm/world.h"
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
/// tokens than the model has rows. Of several ranks of a host each takes a GPU of its own, as far as there
/// are.
Workspace open_workspace(const Config& config, const World& world);

/// Threads that this config uses: runtime.threads, or the cores, shared by the ranks of this host.
int thread_count(const Config& config, const World& world);

}  // namespace foresight
