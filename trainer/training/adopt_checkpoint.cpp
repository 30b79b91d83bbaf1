#include "trainer/training/adopt_checkpoint.h"

#include <optional>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/files.h"
#include "trainer/base/log.h"
#include "trainer/base/manifest.h"
#include "trainer/base/text.h"

namespace foresight {
namespace {

namespace fs = std::filesystem;

/// The files that the checkpoint's manifest vouches for.
void copy_files(const fs::path& checkpoint, const fs::path& staging) {
  std::error_code error;
  fs::directory_iterator entry(checkpoint, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const fs::path name = entry->path().filename();
    if (name == kManifestName) continue;  // publish() writes one
    fs::copy_file(entry->path(), staging / name, error);
    if (error) break;
  }
  if (!error) return;
  throw Error(ErrorKind::kResource, concat("cannot copy ", checkpoint.string(), " to ", staging.string(),
                                           ": ", error.message(), "; check the disk and run again"));
}

/// The first `bytes` of the metrics beside the checkpoints of the other run; nothing where they are not whole
/// rows.
std::optional<std::string> rows_of(const fs::path& checkpoint, std::int64_t bytes) {
  std::error_code error;
  const fs::path file = fs::canonical(checkpoint, error).parent_path().parent_path() / "metrics.jsonl";
  if (!fs::is_regular_file(file, error)) return std::nullopt;
  std::string rows = read_file(file);
  if (bytes < 0 || static_cast<std::uint64_t>(bytes) > rows.size()) return std::nullopt;
  rows.resize(static_cast<std::size_t>(bytes));
  if (!rows.empty() && rows.back() != '\n') return std::nullopt;
  return rows;
}

}  // namespace

bool is_own_checkpoint(const CheckpointFacts& checkpoint, CheckpointStore& store) {
  for (const CheckpointFacts& own : store.checkpoints()) {
    std::error_code error;
    if (fs::equivalent(own.folder, checkpoint.folder, error)) return true;
  }
  return false;
}

nlohmann::json adopt_checkpoint(const std::string& stage, const CheckpointFacts& checkpoint,
                                CheckpointStore& store, const fs::path& metrics_file) {
  const auto& [step, folder, metric, found] = checkpoint;
  nlohmann::json facts = found;
  log_info(concat(stage, ": copying step ", step, " of another run (", folder.string(), ", ",
                  metric ? concat("metric ", facts.at("metric").dump()) : "not evaluated",
                  "); it replaces the checkpoints of this run"));
  const auto rows = rows_of(folder, facts.at("metrics_offset").get<std::int64_t>());
  if (!rows) {
    log_warning(concat(stage, ": the metrics of ", folder.string(),
                       " do not exist; the rows of the steps before it are missing"));
  }
  copy_files(folder, store.begin(step));
  store.remove_after(-1);  // they belong to another course of training, and one might be taken for the best
  write_file_atomically(metrics_file, rows.value_or(""));
  facts["metrics_offset"] = rows.value_or("").size();
  store.publish(step, facts, metric);
  return facts;
}

}  // namespace foresight
