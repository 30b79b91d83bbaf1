#include "trainer/training/training_session.h"

#include <torch/nn/utils/clip_grad.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/manifest.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/config/load.h"
#include "trainer/config/run_layout.h"
#include "trainer/model/tensor_io.h"
#include "trainer/training/adopt_checkpoint.h"
#include "trainer/training/optimizer_file.h"
#include "trainer/training/unit_gradients.h"

namespace foresight {
namespace {

constexpr const char* kScorerFile = "scorer.safetensors";
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kConfigFile = "config.yaml";
constexpr const char* kCheckpointKind = "foresight.checkpoint.2";
constexpr const char* kCheckpointKindWithoutInputs = "foresight.checkpoint.1";

std::filesystem::path checkpoints_of(const std::filesystem::path& output, const std::string& stage) {
  return output / stage / "checkpoints";
}

/// Keys that may differ between a checkpoint and the run that resumes it: they change no number, or the
/// content of what they name is compared instead (`inputs_compared`).
bool may_change(const std::string& difference, const std::string& stage, bool inputs_compared) {
  const std::string key = difference.substr(0, difference.find(':'));
  static const std::vector<std::string> kFree = {"output",
                                                 "traces.",
                                                 "evaluation.",
                                                 "generation.",
                                                 "runtime.threads",
                                                 "runtime.deterministic",
                                                 "runtime.silence_limit_s",
                                                 "runtime.compare_ranks_every",
                                                 "runtime.tensorboard",
                                                 "data.evaluation",
                                                 "oracle.compression",
                                                 "supervised.keep_features",
                                                 "grpo.rollouts_per_pass"};
  for (const std::string& free : kFree) {
    if (key.rfind(free, 0) == 0) return true;
  }
  for (const char* free : {"save_every", "evaluate_every", "keep_last", "keep_best", "resume"}) {
    if (key == stage + "." + free) return true;
  }
  for (const char* path : {"model.path", "data.train", "scorer.initial", "grpo.start"}) {
    if (inputs_compared && key == path) return true;
  }
  const std::string other = stage == "supervised" ? "grpo." : "supervised.";
  return key.rfind(other, 0) == 0;
}

void require_same_kind(const std::filesystem::path& folder, const nlohmann::json& facts,
                       const std::string& stage) {
  const nlohmann::json kind = facts.value("kind", nlohmann::json()),
                       stage_found = facts.value("stage", nlohmann::json());
  if ((kind == kCheckpointKind || kind == kCheckpointKindWithoutInputs) && stage_found == stage) return;
  throw Error(ErrorKind::kInput,
              concat(folder.string(), ": a checkpoint of kind ", one_line(kind.dump()), ", stage ",
                     one_line(stage_found.dump()), "; this program goes on from ", kCheckpointKind,
                     " of stage ", stage, ": start anew with ", stage,
                     ".resume=never, or from its scorer with scorer.initial or grpo.start"));
}

void require_same_config(const std::filesystem::path& folder, const nlohmann::json& facts,
                         const std::string& stage, const Config& config) {
  const bool inputs_compared = facts.at("kind") == kCheckpointKind;
  std::vector<std::string> differences;
  for (const std::string& difference : config_differences(load_config(folder / kConfigFile), config)) {
    if (!may_change(difference, stage, inputs_compared)) differences.push_back(difference);
  }
  if (differences.empty()) return;
  throw Error(
      ErrorKind::kConfig,
      concat(folder.string(), ": the checkpoint was written with other settings (", join(differences, "; "),
             "): restore them, choose another `output`, or start anew with ", stage, ".resume=never"));
}

void require_same_inputs(const std::filesystem::path& folder, const nlohmann::json& facts,
                         const std::string& stage, const TrainingInputs& inputs) {
  if (facts.at("kind") == kCheckpointKindWithoutInputs) return;
  const nlohmann::json before = facts.value("inputs", nlohmann::json::object()), now = inputs;
  std::set<std::string> differences;
  for (const auto& [some, others] : {std::pair(&before, &now), std::pair(&now, &before)}) {
    for (const auto& [what, fingerprint] : some->items()) {
      if (others->value(what, nlohmann::json()) != fingerprint) differences.insert(one_line(what));
    }
  }
  if (differences.empty()) return;
  throw Error(
      ErrorKind::kInput,
      concat(folder.string(),
             ": the checkpoint was trained with other inputs than there are now (SHA-256 of: ",
             join(std::vector<std::string>(differences.begin(), differences.end()), ", "),
             "): restore them, choose another `output`, or start anew with ", stage, ".resume=never"));
}

/// What `facts` say of the checkpoint in `folder` must be what this run would go on with.
void require_same_training(const std::filesystem::path& folder, const nlohmann::json& facts,
                           const std::string& stage, const Config& config, const TrainingInputs& inputs) {
  require_same_kind(folder, facts, stage);
  require_same_config(folder, facts, stage, config);
  require_same_inputs(folder, facts, stage, inputs);
}

void log_finished(const std::string& stage, std::int64_t step, const std::filesystem::path& checkpoint) {
  log_info(concat(stage, ": finished before at step ", step, " (", checkpoint.string(), ")"));
}

}  // namespace

TrainingSession::TrainingSession(const Config& config, const std::string& stage,
                                 const CheckpointConfig& checkpoint, std::int64_t steps, double learning_rate,
                                 const Scorer& initial, TrainingInputs inputs, World& world)
    : config_(config),
      stage_(stage),
      checkpoint_(checkpoint),
      inputs_(std::move(inputs)),
      steps_(steps),
      scorer_(initial.clone()),
      world_(&world) {
  if (world_->leads()) store_.emplace(root(), checkpoint.keep_last, checkpoint.keep_best);
  optimizer_ =
      std::make_unique<torch::optim::Adam>(scorer_.parameters(), torch::optim::AdamOptions(learning_rate));
  if (const auto from = checkpoint_to_resume()) {
    restore(*from);
  } else {
    if (world_->leads()) {
      store_->remove_after(-1);  // another run's checkpoints would be taken for this one's
      open_metrics(std::nullopt);
    }
    log_info(concat(stage_, ": starting at step 0 of ", steps_));
  }
  take_weights_of_lead();
  progress_ = std::make_unique<Progress>(stage, "steps", steps_, step_);
}

std::filesystem::path TrainingSession::root() const {
  return checkpoints_of(config_.output, stage_);
}

/// Rank 0 decides: all must go on from the same one.
std::optional<std::filesystem::path> TrainingSession::checkpoint_to_resume() const {
  std::string found;
  if (world_->leads() && checkpoint_.resume == "auto") {
    if (const auto newest = store_->newest()) found = newest->string();
  } else if (world_->leads() && checkpoint_.resume != "never") {
    found = checkpoint_.resume;
    if (!std::filesystem::is_directory(found)) {
      throw Error(ErrorKind::kInput, concat(stage_, ".resume: no checkpoint folder at ", found,
                                            " (auto takes the newest, never starts anew)"));
    }
  }
  found = world_->broadcast(found, "checkpoint to resume");
  if (found.empty()) return std::nullopt;
  return found;
}

/// Hosts may round differently where the scorer is made: all train rank 0's.
void TrainingSession::take_weights_of_lead() {
  if (world_->size() == 1) return;
  const torch::NoGradGuard no_grad;
  const auto weights = unpack_tensors(world_->broadcast(pack_tensors(scorer_.parameters()), "weights"));
  const std::vector<torch::Tensor> own = scorer_.parameters();
  for (std::size_t i = 0; i < own.size(); ++i) own[i].copy_(weights.at(i));
}

void TrainingSession::compare_ranks() {
  const std::int64_t every = config_.runtime.compare_ranks_every;
  if (world_->size() == 1 || every == 0 || step_ % every != 0) return;
  const auto digests =
      world_->all_gather(sha256_hex(pack_tensors(scorer_.parameters())), "digests of weights");
  for (int rank = 1; rank < world_->size(); ++rank) {
    if (digests[static_cast<std::size_t>(rank)] == digests[0]) continue;
    throw Error(ErrorKind::kPeer, concat(stage_, ": the weights of rank ", rank, " on ", world_->host(rank),
                                         " differ from rank 0's after step ", step_,
                                         ": a fault of that host or of the program; run again to go on "
                                         "from the last checkpoint"));
  }
}

void TrainingSession::restore(const std::filesystem::path& folder) {
  nlohmann::json facts = read_manifest(folder);
  require_same_training(folder, facts, stage_, config_, inputs_);
  if (world_->leads() && facts.at("kind") == kCheckpointKindWithoutInputs) {
    log_warning(concat(folder.string(),
                       ": written before checkpoints named their inputs: whether model and "
                       "data are still the same is not checked"));
  }
  ModelShape shape;
  const Scorer stored = [&] {
    shape.layers = scorer_.layers();
    const torch::Tensor weight = scorer_.parameters()[0];  // [K, 2d + 8g, 16]
    shape.kv_heads = weight.size(0);
    // Any d and g of this input width will do: the file is read by shape.
    shape.query_heads = shape.kv_heads;
    shape.head_dimension = (weight.size(1) - kStatisticsPerHead) / 2;
    return Scorer::load(folder / kScorerFile, shape);
  }();
  scorer_ = stored.to(scorer_.device());
  optimizer_ = std::make_unique<torch::optim::Adam>(
      scorer_.parameters(), static_cast<torch::optim::AdamOptions&>(optimizer_->param_groups()[0].options()));
  load_optimizer(*optimizer_, scorer_.parameters(), folder / kOptimizerFile);
  step_ = facts.at("step").get<std::int64_t>();
  saved_step_ = step_;
  resumed_ = true;
  world_->barrier("checkpoint read");
  if (world_->leads()) {
    if (!is_own_checkpoint(folder, *store_))
      facts = adopt_checkpoint(stage_, folder, *store_, RunFolder{config_.output}.metrics_file(stage_));
    store_->remove_after(step_);
    store_->trim();
    open_metrics(facts.at("metrics_offset").get<std::int64_t>());
  }
  if (finished()) return log_finished(stage_, step_, folder);
  log_info(concat(stage_, ": resuming from ", folder.string(), " at step ", step_, " of ", steps_));
  const nlohmann::json version = facts.value("code_version", nlohmann::json());
  if (world_->leads() && !version.is_null() && version != code_version()) {
    log_warning(concat(stage_, ": the checkpoint was written by version ", one_line(version.dump()),
                       ", this is ", code_version(), ": results may differ in rounding"));
  }
}

void TrainingSession::open_metrics(std::optional<std::int64_t> resume_offset) {
  const RunFolder folder{config_.output};
  metrics_ = std::make_unique<MetricsLog>(folder.metrics_file(stage_), resume_offset);
  if (config_.runtime.tensorboard)
    events_ = std::make_unique<EventFile>(folder.event_folder(stage_), metrics_->path());
}

double TrainingSession::update(double learning_rate, double max_norm, bool ends_step) {
  const std::vector<torch::Tensor> parameters = scorer_.parameters();
  require_finite_gradients(parameters, concat(stage_, ": step ", step_ + 1));
  const double norm = torch::nn::utils::clip_grad_norm_(parameters, max_norm > 0 ? max_norm : 1e300);
  if (!std::isfinite(norm)) {  // clipping by it leaves no gradient
    throw Error(ErrorKind::kNumeric, concat(stage_, ": step ", step_ + 1,
                                            ": the norm of the gradients overflows; the last checkpoint is "
                                            "kept: lower ",
                                            stage_, ".learning_rate"));
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
  const bool stopping = world_->any(stop_requested(), "stop asked for") && !finished();
  if (save_due() || metric || stopping) save(metric);
  if (stopping) {
    throw Error(ErrorKind::kInterrupted,
                concat(stage_, ": stopped and saved at step ", step_, "; run again to go on"));
  }
}

void TrainingSession::save(std::optional<double> metric) {
  if (saved_step_ == step_) return;
  if (world_->leads()) write_checkpoint(metric);
  world_->barrier("checkpoint saved");
  saved_step_ = step_;
}

void TrainingSession::write_checkpoint(std::optional<double> metric) {
  if (events_) events_->sync();
  const std::filesystem::path staging = store_->begin(step_);
  scorer_.save(staging / kScorerFile);
  save_optimizer(*optimizer_, scorer_.parameters(), staging / kOptimizerFile);
  write_file_atomically(staging / kConfigFile, to_yaml(config_));
  store_->publish(step_,
                  {{"kind", kCheckpointKind},
                   {"stage", stage_},
                   {"step", step_},
                   {"steps", steps_},
                   {"code_version", code_version()},
                   {"inputs", inputs_},
                   {"metrics_offset", metrics_->offset()}},
                  metric);
}

std::filesystem::path TrainingSession::best() const {
  return best_scorer_file(config_.output, stage_).parent_path();
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

std::filesystem::path best_scorer_file(const std::filesystem::path& output, const std::string& stage) {
  const auto root = checkpoints_of(output, stage);
  if (const auto best = best_checkpoint(root)) return *best / kScorerFile;
  throw Error(ErrorKind::kInput, concat("no checkpoint of stage ", stage, " in ", root.string(),
                                        ": run `foresight ", stage, "` with this config"));
}

bool finished_before(const Config& config, const std::string& stage, const CheckpointConfig& checkpoint,
                     std::int64_t steps, const TrainingInputs& inputs, World& world) {
  if (checkpoint.resume != "auto") return false;
  constexpr const char* kWhat = "finished before";
  if (!world.leads()) return world.broadcast_flags({}, kWhat).front();
  const CheckpointStore store(checkpoints_of(config.output, stage), checkpoint.keep_last,
                              checkpoint.keep_best);
  const std::vector<CheckpointFacts> checkpoints = list_checkpoints(store.root());
  const bool finished = !checkpoints.empty() && checkpoints.back().step >= steps;
  if (finished)
    require_same_training(checkpoints.back().folder, checkpoints.back().facts, stage, config, inputs);
  world.broadcast_flags({finished}, kWhat);
  if (!finished) return false;
  store.trim();
  const RunFolder folder{config.output};
  if (config.runtime.tensorboard)
    const EventFile events(folder.event_folder(stage), folder.metrics_file(stage));
  log_finished(stage, checkpoints.back().step, checkpoints.back().folder);
  return true;
}

bool stage_finished(const std::filesystem::path& output, const std::string& stage, std::int64_t steps) {
  const auto newest = newest_checkpoint(checkpoints_of(output, stage));
  return newest && read_manifest(*newest).at("step").get<std::int64_t>() >= steps;
}

ScorerFacts scorer_facts(const Config& config, const std::string& model_fingerprint,
                         const std::string& dtype) {
  return {.features = config.scorer.features,
          .budget = config.eviction.budget,
          .window = config.eviction.window,
          .model_fingerprint = model_fingerprint,
          .dtype = dtype,
          .config = to_yaml(config)};
}

}  // namespace foresight
