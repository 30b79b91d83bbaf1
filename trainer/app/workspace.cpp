#include "trainer/app/workspace.h"

#include <torch/cuda.h>
#include <torch/utils.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

/// A token without a row in the embedding cannot be put to the model.
void require_rows_for_tokens(const std::filesystem::path& folder, const Workspace& workspace) {
  const std::int64_t rows = workspace.model.shape().vocabulary_size,
                     tokens = workspace.tokenizer.vocabulary_size();
  if (tokens <= rows) return;
  const auto first = static_cast<std::int32_t>(rows);
  throw Error(
      ErrorKind::kInput,
      concat(folder.string(), ": the tokenizer has ", tokens, " tokens, but the model only ", rows,
             " rows, none for id ", first, " (", one_line(workspace.tokenizer.token_bytes(first)),
             tokens - rows > 1 ? ") and those after it" : ")",
             ": they do not belong together, or tokens were added without resizing the model; take the "
             "model's own tokenizer.json, or remove these from its added_tokens"));
}

}  // namespace

int thread_count(const Config& config, const World& world) {
  if (config.runtime.threads > 0) return static_cast<int>(config.runtime.threads);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / world.local_size());
}

Workspace open_workspace(const Config& config, const World& world) {
  torch::set_num_threads(thread_count(config, world));
  ModelOptions options =
      resolve_model_options(config.runtime.device, config.runtime.dtype, config.runtime.cache_dtype);
  if (options.device.is_cuda()) {
    const auto devices = static_cast<int>(torch::cuda::device_count());
    options.device =
        torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(world.local_rank() % devices));
  }
  const std::filesystem::path folder = config.model.path;
  if (!std::filesystem::is_directory(folder)) {
    throw Error(
        ErrorKind::kInput,
        concat(
            "model.path: no folder at ", folder.string(),
            " (scripts/get_model.py makes SmolLM2-135M-Instruct, `foresight make-tiny-model` a tiny one)"));
  }
  Workspace workspace{Transformer::load(folder, options), Tokenizer::load(folder)};
  require_rows_for_tokens(folder, workspace);
  log_info(concat("model ", folder.string(), ": ", workspace.model.shape().layers, " layers, ",
                  workspace.model.dtype_name(), ", ", options.device.str(), ", ", thread_count(config, world),
                  " threads", world.size() > 1 ? concat(" on each of ", world.size(), " ranks") : ""));
  return workspace;
}

}  // namespace foresight
