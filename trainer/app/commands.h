// The commands of the program, one function each; main only parses and catches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/config/config.h"
#include "trainer/config/stage.h"

namespace foresight {

/// How a command prints what it found: text for people, or JSON for programs.
enum class OutputForm { kText, kJson };

/// `foresight validate`: checks config, model, all that a run needs (preconditions.h), disk and memory;
/// prints what would run.
void command_validate(const Config& config, OutputForm form = OutputForm::kText);
/// `foresight validate --elsewhere RANKS`: what as many ranks would take on another machine, for traces of
/// data.trace_tokens; reads config.json alone, neither weights nor traces, and asks for no GPU here. Throws
/// Error(kConfig) for fewer ranks than one.
void command_validate_elsewhere(const Config& config, std::int64_t ranks,
                                OutputForm form = OutputForm::kText);
/// `foresight traces|oracle|supervised|grpo|evaluate`: one stage, on all ranks. `form` is how evaluate prints
/// its result.
void command_stage(const Config& config, Stage stage, World& world, OutputForm form = OutputForm::kText);
/// `foresight run`: every stage in order, on all ranks; finished ones are skipped. Ends with the table and
/// the paths, or, as JSON, with {"evaluation": ..., "paths": {...}}.
void command_run(const Config& config, World& world, OutputForm form = OutputForm::kText);

/// `foresight config init`: writes starting_yaml(name) to `output`, or to NAME.yaml where that is empty.
/// Returns the file. Throws Error(kConfig) for a name with other signs than letters, digits, '.', '_' and '-'
/// and when the file exists, Error(kResource) when it cannot be written.
std::filesystem::path command_config_init(const std::string& name, const std::filesystem::path& output);

/// `foresight report`: writes `<output>/report.html` and report.csv from the run's evaluation.json and
/// metrics. Returns the page.
std::filesystem::path command_report(const Config& config);

enum class ExportLayout { kForesight, kReleased };
/// `foresight export`: writes the scorer of `policy` ("supervised", "grpo" or a file) to a safetensors file.
/// Throws Error(kConfig) for a policy that is not a scorer, and when the file to write is the one to read.
std::filesystem::path command_export(const Config& config, const std::string& policy,
                                     const std::filesystem::path& output, ExportLayout layout);
/// `foresight generate`: streams the continuation of a prompt to stdout.
enum class PromptKind { kChat, kRaw };
void command_generate(const Config& config, const std::string& prompt, PromptKind kind);
/// `foresight doctor`: prints a line for each thing of this machine that a run will use; `folder` is where
/// runs are to be written. Throws Error(kResource) after the lines when one of them is a fault.
void command_doctor(const std::filesystem::path& folder, OutputForm form);
/// `foresight inspect`: prints what is in an oracle file, a model or checkpoint folder, or a safetensors file
/// as JSON.
void command_inspect(const std::filesystem::path& path);

/// `foresight runs`: prints the runs in and below `directory`, and the faults of faulty ones. Throws
/// Error(kInput) when `directory` is not a folder.
void command_runs(const std::filesystem::path& directory, OutputForm form);
/// `foresight status`: prints what the run in `folder` is doing. Throws Error(kInput) naming a folder
/// without config.yaml.
void command_status(const std::filesystem::path& folder, OutputForm form);
/// `foresight compare`: prints what differs between the first of `folders` and each of the others. JSON is an
/// object for two runs and an array of objects for more. Throws Error(kConfig) for fewer than two
/// folders, Error(kInput) naming a folder without config.yaml.
void command_compare(const std::vector<std::filesystem::path>& folders, OutputForm form);
/// `foresight compare --html`: writes the runs side by side as one page to `page`. Throws as
/// command_compare(), and Error(kResource) when it cannot write.
void command_compare_page(const std::vector<std::filesystem::path>& folders,
                          const std::filesystem::path& page);

}  // namespace foresight
