#include "trainer/training/checkpoint_folder.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/manifest.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTrashPrefix = ".trash-";        // being deleted
constexpr std::string_view kReplacedPrefix = ".replaced-";  // until the new one of that step is there

/// True for `prefix` followed by a step's name.
bool is_step_behind(std::string_view prefix, const std::string& name) {
  return name.starts_with(prefix) && step_of_checkpoint(name.substr(prefix.size())).has_value();
}

/// True for the name that begin() stages a step under.
bool is_staged_checkpoint(const std::string& name) {
  const std::string step = name.substr(0, name.find('.'));
  return step_of_checkpoint(step).has_value() && name == staging_path(step);
}

/// Names in `root`; empty when there is no such folder.
std::vector<std::string> names_in(const fs::path& root) {
  std::vector<std::string> names;
  std::error_code error;
  if (!fs::exists(root, error)) return names;
  fs::directory_iterator entry(root, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  if (error) throw_resource("cannot list", root, error.value());
  return names;
}

void rename_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) throw_resource("cannot rename", from, error.value());
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw_resource("cannot remove", path, error.value());
}

[[noreturn]] void fail_facts(const fs::path& folder, const std::string& message) {
  throw Error(ErrorKind::kInput, concat((folder / kManifestName).string(), ": ", message));
}

/// The `count` best of those that have a metric.
std::vector<CheckpointFacts> best_of(std::vector<CheckpointFacts> checkpoints, std::int64_t count) {
  std::erase_if(checkpoints, [](const CheckpointFacts& checkpoint) { return !checkpoint.metric; });
  std::sort(checkpoints.begin(), checkpoints.end(), [](const CheckpointFacts& a, const CheckpointFacts& b) {
    return std::pair(*a.metric, a.step) < std::pair(*b.metric, b.step);
  });
  checkpoints.resize(std::min(checkpoints.size(), static_cast<std::size_t>(count)));
  return checkpoints;
}

std::optional<fs::path> newest_of(const std::vector<CheckpointFacts>& checkpoints) {
  return checkpoints.empty() ? std::nullopt : std::optional(checkpoints.back().folder);
}

std::optional<fs::path> best_or_newest_of(const std::vector<CheckpointFacts>& checkpoints) {
  const std::vector<CheckpointFacts> best = best_of(checkpoints, 1);
  return best.empty() ? newest_of(checkpoints) : std::optional(best.front().folder);
}

}  // namespace

CheckpointFacts read_checkpoint(const fs::path& folder) {
  nlohmann::json facts = read_manifest(folder);
  const nlohmann::json step = facts.value("step", nlohmann::json()),
                       metric = facts.value("metric", nlohmann::json());
  if (!step.is_number_integer()) fail_facts(folder, "expected a whole number as step");
  if (!metric.is_null() && !metric.is_number()) fail_facts(folder, "expected a number or null as metric");
  const auto number = metric.is_null() ? std::nullopt : std::optional(metric.get<double>());
  return {step.get<std::int64_t>(), folder, number, std::move(facts)};
}

std::vector<CheckpointFacts> list_checkpoints(const fs::path& root) {
  std::vector<CheckpointFacts> checkpoints;
  for (const std::string& name : names_in(root)) {
    const auto step = step_of_checkpoint(name);
    if (!step) continue;
    try {
      CheckpointFacts checkpoint = read_checkpoint(root / name);
      if (checkpoint.step != *step) fail_facts(checkpoint.folder, concat("expected step ", *step));
      checkpoints.push_back(std::move(checkpoint));
    } catch (const Error& fault) {
      log_error(concat("skipping the damaged checkpoint ", (root / name).string(), ": ", fault.what()));
    }
  }
  std::sort(checkpoints.begin(), checkpoints.end(),
            [](const CheckpointFacts& a, const CheckpointFacts& b) { return a.step < b.step; });
  return checkpoints;
}

std::optional<fs::path> best_checkpoint(const fs::path& root) {
  return best_or_newest_of(list_checkpoints(root));
}

CheckpointStore::CheckpointStore(fs::path root, std::int64_t keep_last, std::int64_t keep_best)
    : root_(std::move(root)), keep_last_(keep_last), keep_best_(keep_best) {
  if (keep_last < 1 || keep_best < 0) {
    throw Error(ErrorKind::kInternal, concat("checkpoints in ", root_.string(), ": keep_last is ", keep_last,
                                             " and keep_best ", keep_best, ", expected at least 1 and 0"));
  }
  create_folders(root_);
  std::error_code error;
  for (const std::string& name : names_in(root_)) {
    const bool replaced = is_step_behind(kReplacedPrefix, name);
    const fs::path original = root_ / name.substr(replaced ? kReplacedPrefix.size() : 0);
    if (replaced && !fs::exists(original, error)) {
      rename_folder(root_ / name, original);  // interrupted before the new one was there
      sync_path(root_);
    } else if (replaced || is_step_behind(kTrashPrefix, name) || is_staged_checkpoint(name)) {
      remove_tree(root_ / name);
    }
  }
}

fs::path CheckpointStore::begin(std::int64_t step) {
  if (step < 0) throw Error(ErrorKind::kInternal, concat("checkpoint of step ", step));
  fs::path staging = staging_path(root_ / checkpoint_name(step));
  remove_tree(staging);
  std::error_code error;
  fs::create_directory(staging, error);
  if (error) throw_resource("cannot create", staging, error.value());
  return staging;
}

void CheckpointStore::publish(std::int64_t step, const nlohmann::json& facts, std::optional<double> metric) {
  const fs::path folder = root_ / checkpoint_name(step);
  const fs::path staging = staging_path(folder);
  std::error_code error;
  if (!fs::exists(staging, error)) {
    throw Error(ErrorKind::kInternal, concat("checkpoint ", folder.string(), ": publish() without begin()"));
  }
  if (metric && !std::isfinite(*metric)) {
    throw Error(ErrorKind::kNumeric, concat("checkpoint ", folder.string(), ": its metric is ", *metric,
                                            ", expected a finite number"));
  }
  if (!facts.is_object()) {
    throw Error(ErrorKind::kInternal,
                concat("checkpoint ", folder.string(), ": its facts are not a JSON object"));
  }
  nlohmann::json manifest = facts;
  manifest["step"] = step;
  manifest["metric"] = metric ? nlohmann::json(*metric) : nlohmann::json();
  write_manifest(staging, manifest);
  const fs::path replaced = root_ / concat(kReplacedPrefix, checkpoint_name(step));
  const bool replaces = fs::exists(folder, error);
  if (replaces) rename_folder(folder, replaced);
  foresight::publish(staging, folder);
  if (replaces) remove(replaced);
  log_debug("published " + folder.string());
  if (listed_) {
    std::erase_if(*listed_, [&](const CheckpointFacts& listed) { return listed.step == step; });
    const auto later = std::ranges::upper_bound(*listed_, step, {}, &CheckpointFacts::step);
    listed_->insert(later, {step, folder, metric, std::move(manifest)});
  }
  remove_beyond_limits(step);
}

const std::vector<CheckpointFacts>& CheckpointStore::checkpoints() {
  if (!listed_) listed_ = list_checkpoints(root_);
  return *listed_;
}

std::optional<fs::path> CheckpointStore::newest() {
  return newest_of(checkpoints());
}

std::optional<fs::path> CheckpointStore::best() {
  return best_or_newest_of(checkpoints());
}

void CheckpointStore::trim() {
  remove_beyond_limits(std::nullopt);
}

void CheckpointStore::remove_after(std::int64_t step) {
  for (const std::string& name : names_in(root_)) {
    if (step_of_checkpoint(name).value_or(step) > step) remove(root_ / name);
  }
  if (listed_) std::erase_if(*listed_, [&](const CheckpointFacts& listed) { return listed.step > step; });
}

void CheckpointStore::remove(const fs::path& folder) const {
  // Renamed first: a checkpoint that is half deleted must not look like a damaged one.
  const fs::path trash = root_ / concat(kTrashPrefix, folder.filename().string());
  remove_tree(trash);
  rename_folder(folder, trash);
  sync_path(root_);
  remove_tree(trash);
}

void CheckpointStore::remove_beyond_limits(std::optional<std::int64_t> published_step) {
  const std::vector<CheckpointFacts>& all = checkpoints();
  std::set<std::int64_t> kept;
  if (published_step) kept.insert(*published_step);
  const std::size_t last = std::min(all.size(), static_cast<std::size_t>(keep_last_));
  for (std::size_t i = all.size() - last; i < all.size(); ++i) kept.insert(all[i].step);
  for (const CheckpointFacts& best : best_of(all, keep_best_)) kept.insert(best.step);
  const auto goes = [&](const CheckpointFacts& checkpoint) { return !kept.contains(checkpoint.step); };
  for (const CheckpointFacts& checkpoint : all) {
    if (!goes(checkpoint)) continue;
    remove(checkpoint.folder);
    log_debug("removed " + checkpoint.folder.string());
  }
  std::erase_if(*listed_, goes);
}

}  // namespace foresight
