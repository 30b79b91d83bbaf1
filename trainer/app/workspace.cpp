#include "trainer/app/workspace.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"

namespace foresight {

int thread_count(const Config& config) {
  if (config.runtime.threads > 0) return static_cast<int>(config.runtime.threads);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Workspace open_workspace(const Config& config) {
  torch::set_num_threads(thread_count(config));
  const ModelOptions options = resolve_model_options(config.runtime.device, config.runtime.dtype);
  const std::filesystem::path folder = config.model.path;
  if (!std::filesystem::is_directory(folder)) {
    throw Error(
        ErrorKind::kInput,
        concat(
            "model.path: no folder at ", folder.string(),
            " (scripts/get_model.py makes SmolLM2-135M-Instruct, `foresight make-tiny-model` a tiny one)"));
  }
  Workspace workspace{Transformer::load(folder, options), Tokenizer::load(folder)};
  if (workspace.tokenizer.vocabulary_size() > workspace.model.shape().vocabulary_size) {
    throw Error(ErrorKind::kInput,
                concat(folder.string(), ": the tokenizer has ", workspace.tokenizer.vocabulary_size(),
                       " tokens, but the model only ", workspace.model.shape().vocabulary_size,
                       " rows: they do not belong together"));
  }
  log_info(concat("model ", folder.string(), ": ", workspace.model.shape().layers, " layers, ",
                  workspace.model.dtype_name(), ", ", options.device.str(), ", ", thread_count(config),
                  " threads"));
  return workspace;
}

}  // namespace foresight
