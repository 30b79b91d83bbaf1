#include "trainer/app/workspace.h"

#include <torch/cuda.h>
#include <torch/utils.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "trainer/base/cores.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/comm/agreement.h"
#include "trainer/model/device.h"

namespace foresight {
namespace {

/// The model cannot take a token that has no row in the embedding.
void require_rows_for_tokens(const std::filesystem::path& folder, const Workspace& workspace) {
  const std::int64_t rows = workspace.model.shape().vocabulary_size,
                     tokens = workspace.tokenizer.vocabulary_size();
  if (tokens <= rows) return;
  const auto first = static_cast<std::int32_t>(rows);
  throw Error(
      ErrorKind::kInput,
      concat(folder.string(), ": the tokenizer has ", tokens, " tokens, but the model has only ", rows,
             " embedding rows, and none for id ", first, " (",
             one_line(workspace.tokenizer.token_bytes(first)),
             tokens - rows > 1 ? ") and those after it" : ")",
             ": they do not belong together, or tokens were added without resizing the model; take the "
             "model's own tokenizer.json, or remove these from its added_tokens"));
}

/// The threads that the user's environment asks OpenMP for; 0: it does not say.
int threads_of_environment() {
  constexpr long kMost = 1024;  // as runtime.threads
  const char* text = std::getenv("OMP_NUM_THREADS");
  const long asked = text == nullptr ? 0 : std::strtol(text, nullptr, 10);  // "4,2": the outer level's first
  if (asked <= kMost) return static_cast<int>(std::max(asked, 0L));
  throw Error(ErrorKind::kConfig, concat("OMP_NUM_THREADS is ", asked, ": expected at most ", kMost,
                                         "; set it to the number of cores, or set runtime.threads"));
}

/// The grants of all ranks on this rank's host; `own` is set to this rank's place among them.
std::vector<CoreGrant> grants_of_host(World& world, std::size_t& own) {
  std::vector<CoreGrant> grants;
  const auto all = world.all_gather(to_text(core_grant()), "cores of ranks");
  for (int rank = 0; rank < world.size(); ++rank) {
    if (world.host(rank) != world.host(world.rank())) continue;
    if (rank == world.rank()) own = grants.size();
    grants.push_back(core_grant_from(all[static_cast<std::size_t>(rank)]));
  }
  return grants;
}

/// The GPU of this rank: by its number among the ranks of its host, where it sees several.
torch::Device own_device(const torch::Device& device, World& world) {
  if (!device.is_cuda()) return device;
  const auto devices = static_cast<int>(torch::cuda::device_count());
  const torch::Device own(torch::kCUDA, static_cast<torch::DeviceIndex>(world.local_rank() % devices));
  require_own_devices(world, device_identity(own));
  return own;
}

}  // namespace

int thread_count(const Config& config, World& world) {
  std::size_t own = 0;
  const std::vector<CoreGrant> grants = grants_of_host(world, own);
  if (config.runtime.threads > 0) return static_cast<int>(config.runtime.threads);
  if (const int asked = threads_of_environment(); asked > 0) return asked;
  return core_share(grants, own);
}

Workspace open_workspace(const Config& config, World& world) {
  const int threads = thread_count(config, world);
  torch::set_num_threads(threads);
  ModelOptions options =
      resolve_model_options(config.runtime.device, config.runtime.dtype, config.runtime.cache_dtype);
  options.device = own_device(options.device, world);
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
  log_info(concat("model ", folder.string(), ": ", layers_text(workspace.model.shape()), ", ",
                  workspace.model.dtype_name(), ", ", options.device.str(), ", ", threads, " threads",
                  world.size() > 1 ? concat(" on each of ", world.size(), " ranks") : ""));
  return workspace;
}

}  // namespace foresight
