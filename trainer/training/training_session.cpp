#include "trainer/training/training_session.h"

#include <torch/nn/utils/clip_grad.h>
#include <torch/utils.h>

#include <cmath>
#include <numeric>
#include <sstream>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/random.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/config/load.h"
#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"
#include "trainer/model/tensor_io.h"
#include "trainer/training/adopt_checkpoint.h"
#include "trainer/training/optimizer_file.h"
#include "trainer/training/unit_gradients.h"

namespace foresight {

TrainingSession::TrainingSession(TrainingStart start, const Scorer& initial)
    : start_(std::move(start)), scorer_(initial.clone()) {
  const std::int64_t steps = start_.keys().steps;
  optimizer_ = std::make_unique<torch::optim::Adam>(scorer_.parameters());  // update() sets its rate
  if (const auto from = start_.checkpoint_to_resume()) {
    restore(*from);
  } else {
    if (start_.world().leads()) {
      start_.store().remove_after(-1);  // another run's checkpoints would be taken for this one's
      open_metrics(std::nullopt);
    }
    log_info(concat(start_.name(), ": starting at step 0 of ", steps));
  }
  take_weights_of_lead();
  progress_ = std::make_unique<Progress>(start_.name(), "steps", steps, step_);
}

/// Hosts may round differently where the scorer is made: all train rank 0's.
void TrainingSession::take_weights_of_lead() {
  if (start_.world().size() == 1) return;
  const torch::NoGradGuard no_grad;
  const auto weights =
      unpack_tensors(start_.world().broadcast(pack_tensors(scorer_.parameters()), "weights"));
  const std::vector<torch::Tensor> own = scorer_.parameters();
  for (std::size_t i = 0; i < own.size(); ++i) own[i].copy_(weights.at(i));
}

void TrainingSession::compare_ranks() {
  const std::int64_t every = start_.config().runtime.compare_ranks_every;
  if (start_.world().size() == 1 || every == 0 || step_ % every != 0) return;
  const auto digests =
      start_.world().all_gather(sha256_hex(pack_tensors(scorer_.parameters())), "digests of weights");
  for (int rank = 1; rank < start_.world().size(); ++rank) {
    if (digests[static_cast<std::size_t>(rank)] == digests[0]) continue;
    throw Error(ErrorKind::kPeer,
                concat(start_.name(), ": the weights of rank ", rank, " on ", start_.world().host(rank),
                       " differ from rank 0's after step ", step_,
                       ": a fault of that host or of the program; run the same command again to resume "
                       "from the last checkpoint"));
  }
}

void TrainingSession::restore(const CheckpointFacts& checkpoint) {
  nlohmann::json facts = checkpoint.facts;
  const bool leads = start_.world().leads();
  if (leads && facts.at("kind") == kCheckpointKindWithoutInputs) {
    log_warning(concat(checkpoint.folder.string(),
                       ": this older checkpoint does not name its inputs, so the program cannot check "
                       "that model and data are the same"));
  }
  scorer_ = Scorer::load(checkpoint.folder / kCheckpointScorer, scorer_.shape()).to(scorer_.device());
  if (const auto file = checkpoint.folder / kCheckpointBehaviour; is_there(file))
    behaviour_ = Scorer::load(file, scorer_.shape()).to(scorer_.device());
  optimizer_ = std::make_unique<torch::optim::Adam>(scorer_.parameters());
  load_optimizer(*optimizer_, scorer_.parameters(), checkpoint.folder / kCheckpointOptimizer);
  step_ = checkpoint.step;
  saved_step_ = step_;
  resumed_ = true;
  start_.world().barrier("checkpoint read");
  if (leads) {
    if (!is_own_checkpoint(checkpoint, start_.store()))
      facts = adopt_checkpoint(start_.name(), checkpoint, start_.store(),
                               start_.folder().metrics_file(start_.stage()));
    start_.store().remove_after(step_);
    start_.store().trim();
    open_metrics(facts.at("metrics_offset").get<std::int64_t>());
  }
  if (finished()) return start_.log_finished(checkpoint);
  log_info(concat(start_.name(), ": resuming from ", checkpoint.folder.string(), " at step ", step_, " of ",
                  start_.keys().steps));
  const nlohmann::json version = facts.value("code_version", nlohmann::json());
  if (leads && !version.is_null() && version != code_version()) {
    log_warning(concat(start_.name(), ": the checkpoint was written by version ", one_line(version.dump()),
                       ", but this is version ", code_version(), "; results may differ in rounding"));
  }
}

void TrainingSession::open_metrics(std::optional<std::int64_t> resume_offset) {
  const RunFolder folder = start_.folder();
  metrics_ = std::make_unique<MetricsLog>(folder.metrics_file(start_.stage()), resume_offset);
  if (start_.config().runtime.tensorboard)
    events_ = std::make_unique<EventFile>(folder.event_folder(start_.stage()), metrics_->path());
}

double TrainingSession::update(double learning_rate, double max_norm, bool ends_step) {
  const std::vector<torch::Tensor> parameters = scorer_.parameters();
  require_finite_gradients(parameters, concat(start_.name(), ": step ", step_ + 1));
  const double norm = torch::nn::utils::clip_grad_norm_(parameters, max_norm > 0 ? max_norm : 1e300);
  if (!std::isfinite(norm)) {  // clipping by it leaves no gradient
    throw Error(ErrorKind::kNumeric, concat(start_.name(), ": step ", step_ + 1,
                                            ": the norm of the gradients overflows; the last checkpoint is "
                                            "kept: lower ",
                                            start_.name(), ".learning_rate"));
  }
  static_cast<torch::optim::AdamOptions&>(optimizer_->param_groups()[0].options()).lr(learning_rate);
  optimizer_->step();
  optimizer_->zero_grad();
  if (ends_step) ++step_;
  return norm;
}

void TrainingSession::record(const nlohmann::ordered_json& metrics, const std::vector<std::string>& shown) {
  if (metrics_) metrics_->append(metrics);
  if (events_) events_->append(metrics);
  std::string note;
  for (const std::string& name : shown) {
    if (!metrics.contains(name)) continue;
    std::ostringstream value;
    value.precision(4);
    value << metrics[name].get<double>();
    note += concat(note.empty() ? "" : "  ", name, " ", value.str());
  }
  progress_->update(step_, note);
}

void TrainingSession::end_step(const nlohmann::ordered_json& metrics, const std::vector<std::string>& shown,
                               std::optional<double> metric) {
  record(metrics, shown);
  compare_ranks();
  const bool stopping = start_.world().any(stop_requested(), "stop asked for") && !finished();
  if (save_due() || metric || stopping) save(metric);
  if (stopping) {
    throw Error(ErrorKind::kInterrupted, concat(start_.name(), ": stopped and saved at step ", step_,
                                                "; run the same command again to resume"));
  }
}

void TrainingSession::save(std::optional<double> metric) {
  if (saved_step_ == step_) return;
  if (start_.world().leads()) write_checkpoint(metric);
  start_.world().barrier("checkpoint saved");
  saved_step_ = step_;
}

void TrainingSession::write_checkpoint(std::optional<double> metric) {
  if (events_) events_->sync();
  const std::filesystem::path staging = start_.store().begin(step_);
  scorer_.save(staging / kCheckpointScorer);
  if (behaviour_) behaviour_->save(staging / kCheckpointBehaviour);
  save_optimizer(*optimizer_, scorer_.parameters(), staging / kCheckpointOptimizer);
  write_file_atomically(staging / kCheckpointConfig, to_yaml(start_.config()));
  start_.store().publish(step_,
                         {{"kind", kCheckpointKind},
                          {"stage", start_.name()},
                          {"step", step_},
                          {"steps", start_.keys().steps},
                          {"code_version", code_version()},
                          {"inputs", start_.inputs()},
                          {"metrics_offset", metrics_->offset()}},
                         metric);
}

std::vector<std::int64_t> items_of_step(std::int64_t step, std::int64_t per_step, std::int64_t count,
                                        std::uint64_t seed, const std::string& stream) {
  std::vector<std::int64_t> items;
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::int64_t shuffled_epoch = -1;
  for (std::int64_t i = step * per_step; i < (step + 1) * per_step; ++i) {
    const std::int64_t epoch = i / count;
    if (epoch != shuffled_epoch) {
      std::iota(order.begin(), order.end(), 0);
      RandomStream random(seed, stream, {epoch});
      for (std::int64_t last = count - 1; last > 0; --last) {
        std::swap(order[static_cast<std::size_t>(last)],
                  order[static_cast<std::size_t>(random.below(last + 1))]);
      }
      shuffled_epoch = epoch;
    }
    items.push_back(order[static_cast<std::size_t>(i % count)]);
  }
  return items;
}

std::filesystem::path best_scorer_file(const std::filesystem::path& output, Stage training) {
  const auto root = RunFolder{output}.checkpoints(training);
  if (const auto best = best_checkpoint(root)) return *best / kCheckpointScorer;
  throw Error(ErrorKind::kInput, concat("no checkpoint of stage ", to_string(training), " in ", root.string(),
                                        ": run `foresight ", to_string(training), "` with this config"));
}

ScorerFacts scorer_facts(const Config& config, const std::string& model_fingerprint,
                         const std::string& dtype) {
  return {.features = config.scorer.features,
          .budget = config.eviction.budget,
          .window = config.eviction.window,
          .protect_sinks = config.eviction.protect_sinks,
          .protect_prompt = config.eviction.protect_prompt,
          .model_fingerprint = model_fingerprint,
          .dtype = dtype,
          .config = to_yaml(config)};
}

}  // namespace foresight
