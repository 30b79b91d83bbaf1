#include "trainer/training/resumable.h"

#include <string>
#include <vector>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/config/declare.h"
#include "trainer/config/load.h"
#include "trainer/config/names.h"
#include "trainer/config/run_layout.h"
#include "trainer/training/training_start.h"

namespace foresight {

void require_checkpoint_of(Stage stage, const CheckpointFacts& checkpoint) {
  const std::string name = to_string(stage);
  const nlohmann::json kind = checkpoint.facts.value("kind", nlohmann::json()),
                       stage_found = checkpoint.facts.value("stage", nlohmann::json());
  if ((kind == kCheckpointKind || kind == kCheckpointKindWithoutInputs) && stage_found == name) return;
  throw Error(
      ErrorKind::kInput,
      concat(checkpoint.folder.string(), ": a checkpoint of kind ", one_line(kind.dump()), ", stage ",
             one_line(stage_found.dump()), "; expected ", kCheckpointKind, " of stage ", name,
             ": start from step 0 with ", name,
             ".resume=never, or start from the scorer of this checkpoint with scorer.initial or grpo.start"));
}

void require_settings_of(const Config& config, Stage stage, const CheckpointFacts& checkpoint) {
  const bool content_compared = checkpoint.facts.at("kind") == kCheckpointKind;
  std::vector<std::string> differences;
  for (const KeyDifference& difference :
       config_differences(load_written_config(checkpoint.folder / kCheckpointConfig), config)) {
    if (!may_change_on_resume(*difference.key, stage, content_compared))
      differences.push_back(difference.text());
  }
  if (differences.empty()) return;
  throw Error(
      ErrorKind::kConfig,
      concat(checkpoint.folder.string(), ": the checkpoint was written with other settings (",
             join(differences, "; "), "): restore them, choose another `output`, or start from step 0 with ",
             to_string(stage), ".resume=never"));
}

void require_resumable(const Config& config, Stage stage) {
  if (const auto named = named_checkpoint(config, stage)) {
    require_checkpoint_of(stage, *named);
    require_settings_of(config, stage, *named);
  }
  if (training_keys(config, stage).checkpoint.resume != "auto") return;
  const std::filesystem::path root = RunFolder{config.output}.checkpoints(stage);
  const auto step = newest_checkpoint_step(root);
  if (!step) return;
  std::optional<CheckpointFacts> newest;
  try {
    newest = read_checkpoint(root / checkpoint_name(*step));
  } catch (const Error&) {
    return;  // damaged: the stage says so, and takes the one before it
  }
  require_checkpoint_of(stage, *newest);
  require_settings_of(config, stage, *newest);
}

}  // namespace foresight
