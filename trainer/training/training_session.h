// What both training stages share: the scorer with its optimiser, resumable checkpoints, metrics, the order
// of the data.
#pragma once

#include <torch/optim/adam.h>
#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "trainer/base/progress.h"
#include "trainer/config/config.h"
#include "trainer/config/stage.h"
#include "trainer/scorer/scorer.h"
#include "trainer/training/event_file.h"
#include "trainer/training/metrics.h"
#include "trainer/training/training_start.h"

namespace foresight {

/// A stage's training in `<output>/<stage>`: metrics.jsonl and checkpoints/. A resumed session continues
/// exactly: scorer, Adam moments and step are restored; every random stream and the data order follow from
/// seed and step. All ranks hold the same weights and take the same steps; rank 0 alone writes, and
/// checkpoints of any number of ranks are the same.
class TrainingSession {
 public:
  /// Goes on from start.checkpoint_to_resume(), and throws like it, or else starts from rank 0's `initial`;
  /// the log says which. A checkpoint of another run is made one of this run first (adopt_checkpoint).
  TrainingSession(TrainingStart start, const Scorer& initial);

  Scorer& scorer() { return scorer_; }
  std::int64_t step() const { return step_; }
  bool finished() const { return step_ >= start_.keys().steps; }
  /// True when a checkpoint was resumed from.
  bool resumed() const { return resumed_; }

  /// The scorer whose evictions made the states that are trained on: checkpoints keep it beside the trained
  /// one, and a resumed session has it again. None until the stage sets one.
  const std::optional<Scorer>& behaviour() const { return behaviour_; }
  void set_behaviour(const Scorer& scorer) { behaviour_ = scorer.clone(); }

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
    const std::int64_t every = start_.keys().checkpoint.evaluate_every;
    return finished() || (every > 0 && step_ % every == 0);
  }
  /// Publishes a checkpoint of this step; `metric`: lower is better, decides the best one.
  /// A collective: returns once it stands.
  void save(std::optional<double> metric);
  /// Says where the checkpoint of the lowest metric lies (or the newest, where none was evaluated).
  void log_best() { start_.log_best(); }

 private:
  bool save_due() const { return finished() || step_ % start_.keys().checkpoint.save_every == 0; }
  void restore(const CheckpointFacts& checkpoint);
  void open_metrics(std::optional<std::int64_t> resume_offset);
  void take_weights_of_lead();
  void compare_ranks();
  void write_checkpoint(std::optional<double> metric);

  TrainingStart start_;
  std::int64_t step_ = 0;
  bool resumed_ = false;
  Scorer scorer_;
  std::optional<Scorer> behaviour_;
  std::unique_ptr<torch::optim::Adam> optimizer_;
  std::unique_ptr<MetricsLog> metrics_;  // rank 0's, like events_
  std::unique_ptr<EventFile> events_;
  std::unique_ptr<Progress> progress_;
  std::optional<std::int64_t> saved_step_;
};

/// Items of step `step` when `per_step` of `count` items are taken a step, in an order shuffled again each
/// epoch.
std::vector<std::int64_t> items_of_step(std::int64_t step, std::int64_t per_step, std::int64_t count,
                                        std::uint64_t seed, const std::string& stream);

/// The scorer of a training stage's best checkpoint. Throws Error(kInput) naming the command to run when
/// there is none.
std::filesystem::path best_scorer_file(const std::filesystem::path& output, Stage training);

/// What a scorer of this config is made for.
ScorerFacts scorer_facts(const Config& config, const std::string& model_fingerprint,
                         const std::string& dtype);

}  // namespace foresight
