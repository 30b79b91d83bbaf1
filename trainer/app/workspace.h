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
/// tokens than the model has rows, Error(kConfig) when two ranks would share a GPU. A collective.
Workspace open_workspace(const Config& config, World& world);

/// Threads that this config uses: runtime.threads, else OMP_NUM_THREADS, else the cores that this process is
/// granted (core_grant()), as far as other ranks of its host do not share them. A collective.
int thread_count(const Config& config, World& world);

}  // namespace foresight
