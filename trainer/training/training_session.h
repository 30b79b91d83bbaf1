// What both training stages share: the scorer with its optimiser, resumable checkpoints, metrics, the order
// of the data.
#pragma once

#include <torch/optim/adam.h>
#include <torch/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/base/progress.h"
#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/scorer/scorer.h"
#include "trainer/training/checkpoint_folder.h"
#include "trainer/training/event_file.h"
#include "trainer/training/metrics.h"

namespace foresight {

/// What a training reads besides its config: what it is -> its fingerprint (SHA-256, hex). Stored with each
/// checkpoint, which goes on with these alone.
using TrainingInputs = std::map<std::string, std::string>;

/// A stage's training in `<output>/<stage>`: metrics.jsonl and checkpoints/. A resumed session continues
/// exactly: scorer, Adam moments and step are restored; every random stream and the data order follow from
/// seed and step. All ranks hold the same weights and take the same steps; rank 0 alone writes, and
/// checkpoints of any number of ranks are the same.
class TrainingSession {
 public:
  /// Resumes as checkpoint.resume says, else starts from rank 0's `initial`; the log says which. A checkpoint
  /// of another run is made one of this run first (adopt_checkpoint). Throws Error(kConfig) when the
  /// checkpoint was written with settings that change the mathematics, naming them (paths of inputs may
  /// change, as their content is compared); Error(kInput) when resume names no checkpoint, or when the
  /// checkpoint's `inputs` were others, naming them.
  TrainingSession(const Config& config, const std::string& stage, const CheckpointConfig& checkpoint,
                  std::int64_t steps, double learning_rate, const Scorer& initial, TrainingInputs inputs,
                  World& world = alone());

  Scorer& scorer() { return scorer_; }
  std::int64_t step() const { return step_; }
  bool finished() const { return step_ >= steps_; }
  /// True when a checkpoint was gone on from.
  bool resumed() const { return resumed_; }

  /// Clips the gradients to `max_norm` (0: not), applies Adam at `learning_rate`, clears them, counts the
  /// step unless more updates belong to it. Returns the norm before clipping. Throws Error(kNumeric) naming
  /// step and layer for a gradient that is not finite (each unit's was: their sum overflowed), and for
  /// gradients whose norm is not.
  double update(double learning_rate, double max_norm, bool ends_step = true);

  /// Adds one line to metrics.jsonl (and to the event file, where there is one) and redraws the progress bar
  /// with the named values.
  void record(const nlohmann::ordered_json& metrics, const std::vector<std::string>& shown);

  /// Ends a step: records it as record() does, saves a checkpoint when one is due, when the step was
  /// evaluated (`metric`) or when a stop was asked for on any rank; then throws Error(kInterrupted) if one
  /// was. Every runtime.compare_ranks_every steps the ranks' weights are compared: Error(kPeer) names the one
  /// whose weights differ.
  void end_step(const nlohmann::ordered_json& metrics, const std::vector<std::string>& shown,
                std::optional<double> metric);

  bool evaluation_due() const {
    return finished() || (checkpoint_.evaluate_every > 0 && step_ % checkpoint_.evaluate_every == 0);
  }
  bool save_due() const { return finished() || step_ % checkpoint_.save_every == 0; }
  /// Publishes a checkpoint of this step; `metric`: lower is better, decides the best one.
  /// A collective: returns once it stands.
  void save(std::optional<double> metric);
  /// Checkpoint folder of the lowest metric (or the newest, where none was evaluated). Throws Error(kInput)
  /// where none stands.
  std::filesystem::path best() const;

 private:
  std::filesystem::path root() const;
  std::optional<std::filesystem::path> checkpoint_to_resume() const;
  void restore(const std::filesystem::path& folder);
  void open_metrics(std::optional<std::int64_t> resume_offset);
  void take_weights_of_lead();
  void compare_ranks();
  void write_checkpoint(std::optional<double> metric);

  Config config_;
  std::string stage_;
  CheckpointConfig checkpoint_;
  TrainingInputs inputs_;
  std::int64_t steps_, step_ = 0;
  bool resumed_ = false;
  Scorer scorer_;
  std::unique_ptr<torch::optim::Adam> optimizer_;
  World* world_;
  std::optional<CheckpointStore> store_;  // rank 0's, like metrics_
  std::unique_ptr<MetricsLog> metrics_;
  std::unique_ptr<EventFile> events_;
  std::unique_ptr<Progress> progress_;
  std::optional<std::int64_t> saved_step_;
};

/// Items of step `step` when `per_step` of `count` items are taken a step, in an order shuffled anew each
/// epoch.
std::vector<std::int64_t> items_of_step(std::int64_t step, std::int64_t per_step, std::int64_t count,
                                        std::uint64_t seed, const std::string& stream);

/// The scorer of a finished stage's best checkpoint: `<output>/<stage>/checkpoints/...`. Throws Error(kInput)
/// naming the command to run when there is none.
std::filesystem::path best_scorer_file(const std::filesystem::path& output, const std::string& stage);
/// True when the stage's checkpoint of its last step stands and `checkpoint.resume` is auto. Then says so,
/// clears what an interruption after that step left, and writes the event file that the config may ask for
/// since. Throws Error(kConfig) or Error(kInput) when that checkpoint is of other settings or inputs, as the
/// session does; Error(kResource).
bool finished_before(const Config& config, const std::string& stage, const CheckpointConfig& checkpoint,
                     std::int64_t steps, const TrainingInputs& inputs, World& world = alone());
/// True when the stage's checkpoint of its last step stands.
bool stage_finished(const std::filesystem::path& output, const std::string& stage, std::int64_t steps);

/// What a scorer of this config is made for.
ScorerFacts scorer_facts(const Config& config, const std::string& model_fingerprint,
                         const std::string& dtype);

}  // namespace foresight
