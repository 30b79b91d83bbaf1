#include "trainer/training/training_start.h"

#include <set>
#include <utility>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/manifest.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"
#include "trainer/training/event_file.h"
#include "trainer/training/resumable.h"

namespace foresight {

TrainingInputs training_inputs(const SharedFingerprints& fingerprints) {
  return {{"model", fingerprints.model},
          {"tokenizer", fingerprints.tokenizer},
          {"training traces", fingerprints.training_traces},
          {"validation traces", fingerprints.validation_traces}};
}

std::optional<CheckpointFacts> named_checkpoint(const Config& config, Stage stage) {
  const std::string resume = training_keys(config, stage).checkpoint.resume;
  if (resume == "auto" || resume == "never") return std::nullopt;
  if (!std::filesystem::is_directory(resume)) {
    throw Error(ErrorKind::kInput, concat(to_string(stage), ".resume: no checkpoint folder at ", resume,
                                          " (auto resumes from the newest, never starts from step 0)"));
  }
  std::error_code none;
  if (!std::filesystem::exists(std::filesystem::path(resume) / kManifestName, none)) {
    throw Error(ErrorKind::kInput, concat(to_string(stage), ".resume: ", resume, " holds no ", kManifestName,
                                          ": it is not a checkpoint; name one, for example runs/a/",
                                          to_string(stage), "/checkpoints/step-000100"));
  }
  return read_checkpoint(resume);
}

TrainingStart::TrainingStart(const Config& config, Stage stage, TrainingInputs inputs, World& world)
    : config_(config), stage_(stage), inputs_(std::move(inputs)), world_(&world) {
  const CheckpointConfig& limits = keys().checkpoint;
  if (world.leads()) store_.emplace(folder().checkpoints(stage), limits.keep_last, limits.keep_best);
}

std::string TrainingStart::name() const {
  return to_string(stage_);
}

bool TrainingStart::finished_before() {
  if (keys().checkpoint.resume != "auto") return false;
  constexpr const char* kWhat = "finished before";
  if (!world_->leads()) return world_->broadcast_flags({}, kWhat).front();
  const auto& checkpoints = store_->checkpoints();
  const bool finished = !checkpoints.empty() && checkpoints.back().step >= keys().steps;
  if (finished) require_same_training(checkpoints.back());
  world_->broadcast_flags({finished}, kWhat);
  if (!finished) return false;
  store_->trim();
  if (config_.runtime.tensorboard)
    const EventFile events(folder().event_folder(stage_), folder().metrics_file(stage_));
  log_finished(store_->checkpoints().back());
  return true;
}

/// Rank 0 decides: all must resume from the same one.
std::optional<CheckpointFacts> TrainingStart::checkpoint_to_resume() {
  std::optional<CheckpointFacts> found;
  if (world_->leads()) {
    found = named_checkpoint(config_, stage_);
    if (keys().checkpoint.resume == "auto" && !store_->checkpoints().empty())
      found = store_->checkpoints().back();
  }
  const std::string folder = world_->broadcast(found ? found->folder.string() : "", "checkpoint to resume");
  if (folder.empty()) return std::nullopt;
  if (!found) found = read_checkpoint(folder);
  require_same_training(*found);
  return found;
}

void TrainingStart::log_finished(const CheckpointFacts& checkpoint) const {
  log_info(
      concat(name(), ": finished before at step ", checkpoint.step, " (", checkpoint.folder.string(), ")"));
}

void TrainingStart::log_best() {
  if (!world_->leads()) return;
  if (const auto best = store_->best()) log_info(concat(name(), ": best checkpoint ", best->string()));
}

/// What a checkpoint says of itself must be what this run would use.
void TrainingStart::require_same_training(const CheckpointFacts& checkpoint) const {
  require_checkpoint_of(stage_, checkpoint);
  require_settings_of(config_, stage_, checkpoint);
  require_same_inputs(checkpoint);
}

void TrainingStart::require_same_inputs(const CheckpointFacts& checkpoint) const {
  if (checkpoint.facts.at("kind") == kCheckpointKindWithoutInputs) return;
  const nlohmann::json before = checkpoint.facts.value("inputs", nlohmann::json::object()), now = inputs_;
  std::set<std::string> differences;
  for (const auto& [some, others] : {std::pair(&before, &now), std::pair(&now, &before)}) {
    for (const auto& [what, fingerprint] : some->items()) {
      if (others->value(what, nlohmann::json()) != fingerprint) differences.insert(one_line(what));
    }
  }
  if (differences.empty()) return;
  throw Error(ErrorKind::kInput,
              concat(checkpoint.folder.string(),
                     ": the checkpoint was trained with other inputs than there are now (SHA-256 of: ",
                     join(std::vector<std::string>(differences.begin(), differences.end()), ", "),
                     "): restore them, choose another `output`, or start from step 0 with ", name(),
                     ".resume=never"));
}

}  // namespace foresight
