#include "trainer/runs/run_facts.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/json.h"
#include "trainer/base/log.h"
#include "trainer/base/text.h"
#include "trainer/config/load.h"
#include "trainer/config/run_layout.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

constexpr int kSearchDepth = 4;       // below the folder that is searched
constexpr int kEvaluationDepth = 16;  // of the objects and arrays in evaluation.json
constexpr std::size_t kFaultBytes = 300;

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// Names in `folder`, sorted; none where it cannot be listed, which `error` tells.
std::vector<std::string> names_in(const fs::path& folder, std::error_code& error) {
  std::vector<std::string> names;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::error_code ignored;
  return names_in(folder, ignored);
}

/// True when a command has worked here: a config.yaml alone may be somebody's file.
bool has_traces_of_a_run(const RunFolder& run) {
  return is_file(run.lock_file()) || is_folder(run.oracle()) || is_folder(run.stage(Stage::kSupervised)) ||
         is_folder(run.stage(Stage::kGrpo)) || is_file(run.evaluation_file());
}

/// `seen`: folders by their true paths, as links may lead to one twice.
void search(const fs::path& folder, int depth, std::vector<fs::path>& found, std::set<fs::path>& seen) {
  std::error_code error;
  const fs::path place = fs::canonical(folder, error);
  if (!error && !seen.insert(place).second) return;
  const RunFolder run{folder};
  const bool is_run = is_file(run.config_file());
  if (is_run) found.push_back(folder);
  if (depth == kSearchDepth || (is_run && has_traces_of_a_run(run))) return;
  for (const std::string& name : names_in(folder, error)) {
    if (!name.starts_with('.') && is_folder(folder / name)) search(folder / name, depth + 1, found, seen);
  }
  if (error) log_warning(concat("runs below ", folder.string(), " are not listed: ", error.message()));
}

/// The first line of what was thrown: an error about a config has one for each fault.
std::string fault_text(const Error& fault) {
  const std::string_view text = fault.what();
  return one_line(text.substr(0, text.find('\n')), kFaultBytes);
}

/// Files in `folder` whose names start and end so.
std::int64_t count_files(const fs::path& folder, std::string_view start, std::string_view end) {
  const std::vector<std::string> names = names_in(folder);
  return std::count_if(names.begin(), names.end(), [&](const std::string& name) {
    return name.starts_with(start) && name.ends_with(end);
  });
}

StageFacts traces_facts(const RunFolder& run, const std::optional<Config>& config) {
  StageFacts facts{.stage = Stage::kTraces};
  if (config && config->traces.prompts.empty()) return facts;  // the stage is skipped
  if (is_file(run.traces_file(config ? config->traces.file : TracesConfig().file))) {
    facts.progress = StageProgress::kDone;
    return facts;
  }
  std::int64_t batches = 0;
  const fs::path folder = run.stage(Stage::kTraces);
  for (const std::string& name : names_in(folder)) batches += count_files(folder / name, "batch-", ".jsonl");
  if (batches > 0) {
    facts.progress = StageProgress::kPartial;
    facts.step = batches;
  }
  return facts;
}

/// The config does not say how many held-out traces the files give, only that they are at most max_traces.
/// Once training has begun, all traces are certainly recorded.
StageFacts oracle_facts(const RunFolder& run, const std::optional<Config>& config, bool training_began) {
  StageFacts facts{.stage = Stage::kOracle};
  const std::int64_t recorded = count_files(run.oracle(), "", ".h5");
  if (recorded == 0) return facts;
  facts.step = recorded;
  if (config) {
    facts.steps = config->data.max_train_traces + config->data.validation_traces +
                  (config->data.evaluation.empty() ? 0 : config->evaluation.max_traces);
  }
  const bool done = training_began || (facts.steps && recorded >= *facts.steps);
  facts.progress = done ? StageProgress::kDone : StageProgress::kPartial;
  return facts;
}

/// The complete rows of a stage's metrics; faults are noted.
std::vector<MetricsRow> read_metrics(const fs::path& file, std::vector<std::string>& faults) {
  if (!is_file(file)) return {};
  try {
    const std::string text = read_file(file);
    const std::size_t end = text.rfind('\n') + 1;  // 0 where there is none
    if (end != text.size()) faults.push_back(concat(one_line(file.string()), ": the last row is torn"));
    return parse_metrics(std::string_view(text).substr(0, end), file.string());
  } catch (const Error& fault) {
    faults.push_back(fault_text(fault));
    return {};
  }
}

StageFacts training_facts(const RunFolder& run, Stage stage, const std::optional<Config>& config,
                          std::vector<std::string>& faults) {
  StageFacts facts{.stage = stage};
  facts.metrics = read_metrics(run.metrics_file(stage), faults);
  const auto saved = newest_checkpoint_step(run.checkpoints(stage));
  if (facts.metrics.empty() && !saved) return facts;
  facts.step = std::max(saved.value_or(0), facts.metrics.empty() ? 0 : facts.metrics.back().step);
  if (config) facts.steps = training_keys(*config, stage).steps;
  const bool done = saved && facts.steps && *saved >= *facts.steps;
  facts.progress = done ? StageProgress::kDone : StageProgress::kPartial;
  return facts;
}

void read_evaluation_of(const RunFolder& run, RunFacts& facts) {
  const fs::path file = run.evaluation_file();
  if (!is_file(file)) return;
  try {
    const nlohmann::json json = parse_json_strictly(read_file(file), file.string(), kEvaluationDepth);
    facts.evaluation = read_evaluation(json, file.string());
  } catch (const Error& fault) {
    facts.faults.push_back(fault_text(fault));
  }
}

/// The newest date of what lies in `folder` and in its folders.
std::int64_t last_change(const fs::path& folder, int levels) {
  std::int64_t newest = 0;
  for (const std::string& name : names_in(folder)) {
    struct stat facts = {};
    if (::stat((folder / name).c_str(), &facts) != 0) continue;
    newest = std::max<std::int64_t>(newest, facts.st_mtim.tv_sec);
    if (S_ISDIR(facts.st_mode) && levels > 1)
      newest = std::max(newest, last_change(folder / name, levels - 1));
  }
  return newest;
}

/// The row of the lowest `name`; nothing where no row has it.
std::optional<StageMeasure> lowest(const StageFacts& stage, const std::string& name) {
  std::optional<StageMeasure> best;
  for (const MetricsRow& row : stage.metrics) {
    const auto found = row.scalars.find(name);
    if (found == row.scalars.end() || (best && best->value <= found->second)) continue;
    best = {.stage = stage.stage, .name = name, .value = found->second, .step = row.step};
  }
  return best;
}

std::optional<StageMeasure> last(const StageFacts& stage, const std::string& name) {
  for (auto row = stage.metrics.rbegin(); row != stage.metrics.rend(); ++row) {
    const auto found = row->scalars.find(name);
    if (found != row->scalars.end())
      return StageMeasure{.stage = stage.stage, .name = name, .value = found->second, .step = row->step};
  }
  return std::nullopt;
}

}  // namespace

std::vector<fs::path> find_runs(const fs::path& directory) {
  if (!is_folder(directory)) {
    throw Error(ErrorKind::kInput, concat("no folder at ", one_line(directory.string()),
                                          "; give the folder that holds the runs, for example runs"));
  }
  std::vector<fs::path> found;
  std::set<fs::path> seen;
  search(directory.lexically_normal(), 0, found, seen);
  return found;
}

RunFacts read_run(const fs::path& folder) {
  const RunFolder run{folder};
  RunFacts facts;
  facts.folder = folder;
  try {
    facts.config = load_config(run.config_file());
  } catch (const Error& fault) {
    facts.faults.push_back(fault_text(fault));
  }
  const auto& config = facts.config;
  StageFacts supervised = training_facts(run, Stage::kSupervised, config, facts.faults);
  StageFacts grpo = training_facts(run, Stage::kGrpo, config, facts.faults);
  const bool training_began =
      supervised.progress != StageProgress::kAbsent || grpo.progress != StageProgress::kAbsent;
  read_evaluation_of(run, facts);
  StageFacts evaluate{.stage = Stage::kEvaluate};
  if (is_file(run.evaluation_file())) evaluate.progress = StageProgress::kDone;
  facts.stages = {traces_facts(run, config), oracle_facts(run, config, training_began), std::move(supervised),
                  std::move(grpo), std::move(evaluate)};
  facts.changed = last_change(folder, /*levels=*/2);
  return facts;
}

std::optional<StageMeasure> judged_by(const RunFacts& run) {
  std::optional<StageMeasure> judged;
  for (const StageFacts& stage : run.stages) {
    if (stage.metrics.empty()) continue;
    const bool grpo = stage.stage == Stage::kGrpo;
    auto measure = lowest(stage, grpo ? "eval_low_entropy_loss_rise" : "eval_loss_rise");
    if (!measure) measure = last(stage, grpo ? "reward" : "loss");
    if (measure) judged = measure;
  }
  return judged;
}

std::string model_name(const RunFacts& run) {
  if (!run.config) return "";
  const fs::path path = fs::path(run.config->model.path).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

}  // namespace foresight
