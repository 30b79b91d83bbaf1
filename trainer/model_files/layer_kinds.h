// Which layers of a model see the whole text, and which a window of it.
#pragma once

#include "trainer/model_files/architectures.h"
#include "trainer/model_files/config_json.h"

namespace foresight {

/// Sets the layers' kinds of attention and shape.sliding_window from `layer_types`, `sliding_window` and the
/// architecture's own rule; shape.kinds has a place for every layer. A window that no text exceeds is none.
/// Throws Error(kInput) naming file and key: an unknown kind, a list of another length, sliding layers
/// without a window, a model without a layer of full attention.
void read_attention_kinds(const ConfigJson& config, const Architecture& architecture, ModelShape& shape);

}  // namespace foresight
