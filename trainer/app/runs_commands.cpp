#include "trainer/app/commands.h"
#include "trainer/base/error.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/text.h"
#include "trainer/config/run_layout.h"
#include "trainer/runs/compare_runs.h"
#include "trainer/runs/comparison_page.h"
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

/// The runs to compare, two at least.
std::vector<RunFacts> read_existing_runs(const std::vector<std::filesystem::path>& folders) {
  if (folders.size() < 2) {
    throw Error(ErrorKind::kConfig,
                concat("compare: expected the folders of two runs or more, got ", folders.size()));
  }
  std::vector<RunFacts> runs;
  for (const std::filesystem::path& folder : folders) {
    require_run(folder);
    runs.push_back(read_run(folder));
  }
  return runs;
}

/// The page must not be written over a file of the runs that it shows.
void require_not_read(const std::filesystem::path& page, const RunFolder& folder) {
  for (const std::filesystem::path& file :
       {folder.config_file(), folder.evaluation_file(), folder.metrics_file(Stage::kSupervised),
        folder.metrics_file(Stage::kGrpo)}) {
    std::error_code none;
    if (!std::filesystem::equivalent(page, file, none)) continue;
    throw Error(ErrorKind::kConfig,
                concat("compare: ", page.string(),
                       " is a file of a run that is read; name another page with --html"));
  }
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

void command_compare(const std::vector<std::filesystem::path>& folders, OutputForm form) {
  const std::vector<RunFacts> runs = read_existing_runs(folders);
  std::vector<std::string> texts;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (std::size_t other = 1; other < runs.size(); ++other) {
    const RunComparison comparison = compare_runs(runs.front(), runs[other]);
    if (form == OutputForm::kJson) {
      all.push_back(comparison_json(comparison));
    } else {
      texts.push_back(comparison_text(comparison));
    }
  }
  if (form == OutputForm::kJson) {
    print((all.size() == 1 ? all.front() : all).dump(2) + "\n");
  } else {
    print(join(texts, "\n"));
  }
}

void command_compare_page(const std::vector<std::filesystem::path>& folders,
                          const std::filesystem::path& page) {
  for (const std::filesystem::path& folder : folders) require_not_read(page, RunFolder{folder});
  write_comparison(read_existing_runs(folders), page);
}

}  // namespace foresight
