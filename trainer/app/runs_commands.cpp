#include "trainer/app/commands.h"
#include "trainer/base/error.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/runs/compare_runs.h"
#include "trainer/runs/list_runs.h"
#include "trainer/runs/run_facts.h"
#include "trainer/runs/run_status.h"

namespace foresight {
namespace {

void require_run(const std::filesystem::path& folder) {
  const std::filesystem::path config = RunFolder{folder}.config_file();
  std::error_code error;
  if (!std::filesystem::is_regular_file(config, error)) {
    throw Error(ErrorKind::kInput,
                concat("no run in ", one_line(folder.string()), ": there is no ", config.filename().string(),
                       "; `foresight runs` lists the runs below a folder"));
  }
}

RunFacts read_existing_run(const std::filesystem::path& folder) {
  require_run(folder);
  return read_run(folder);
}

}  // namespace

void command_runs(const std::filesystem::path& directory, OutputForm form) {
  std::vector<RunFacts> runs;
  for (const std::filesystem::path& folder : find_runs(directory)) runs.push_back(read_run(folder));
  if (form == OutputForm::kJson) {
    print(runs_json(runs).dump(2) + "\n");
  } else {
    print(runs_text(runs, directory.string()));
  }
}

void command_status(const std::filesystem::path& folder, OutputForm form) {
  require_run(folder);
  const RunStatus status = read_status(folder);
  print(form == OutputForm::kJson ? status_json(status).dump(2) + "\n" : status_text(status));
}

void command_compare(const std::filesystem::path& first, const std::filesystem::path& second,
                     OutputForm form) {
  const RunFacts one = read_existing_run(first), other = read_existing_run(second);
  const RunComparison comparison = compare_runs(one, other);
  if (form == OutputForm::kJson) {
    print(comparison_json(comparison).dump(2) + "\n");
  } else {
    print(comparison_text(comparison));
  }
}

}  // namespace foresight
