#include "trainer/generation/traces_file.h"

#include <filesystem>
#include <system_error>

#include "trainer/base/error.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/generation/traces_stage.h"

namespace foresight {

void require_traces_file(const Config& config) {
  namespace fs = std::filesystem;
  const RunFolder folder{config.output};
  const fs::path file = traces_file(config);
  const auto refuse = [&](const char* problem) {
    throw Error(ErrorKind::kConfig, concat("traces.file: ", file.string(), problem));
  };
  std::error_code none;
  fs::path whole = fs::weakly_canonical(file, none);
  if (!whole.has_filename()) whole = whole.parent_path();  // "." in a run that is not there yet
  for (const fs::path& own :
       {folder.root, folder.config_file(), folder.lock_file(), folder.evaluation_file(), folder.report_page(),
        folder.report_table(), folder.exports(), folder.stage(Stage::kTraces), folder.oracle(),
        folder.stage(Stage::kSupervised), folder.stage(Stage::kGrpo)}) {
    if (whole == fs::weakly_canonical(own, none)) refuse(" has another use in the run; name a JSONL file");
  }
  const fs::file_status present = fs::status(file, none);
  if (fs::exists(present) && !fs::is_regular_file(present))
    refuse(" is a folder, device or pipe; name a JSONL file");
  for (const std::string& prompts : config.traces.prompts) {
    if (fs::equivalent(prompts, file, none))
      refuse(" is also named by traces.prompts, and its prompts would be overwritten; name another file");
  }
}

}  // namespace foresight
