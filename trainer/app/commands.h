// The commands of the program, one function each; main only parses and catches.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/comm/world.h"
#include "trainer/config/config.h"

namespace foresight {

/// `foresight validate`: checks config, model, data, overlap of rows, disk and memory; prints what would run.
void command_validate(const Config& config);
/// `foresight traces|oracle|supervised|grpo|evaluate`: one stage, on all ranks.
void command_stage(const Config& config, const std::string& stage, World& world = alone());
/// `foresight run`: every stage in order, on all ranks; finished ones are skipped. Ends with the table and
/// the paths.
void command_run(const Config& config, World& world = alone());

/// `foresight report`: `<output>/report.html` and report.csv of what the run's evaluation.json and metrics
/// say. Returns the page.
std::filesystem::path command_report(const Config& config);

enum class ExportLayout { kForesight, kReleased };
/// `foresight export`: the scorer of `policy` ("supervised", "grpo" or a file) to one safetensors file.
std::filesystem::path command_export(const Config& config, const std::string& policy,
                                     const std::filesystem::path& output, ExportLayout layout);
/// `foresight generate`: streams the continuation of a prompt to stdout.
enum class PromptKind { kChat, kRaw };
void command_generate(const Config& config, const std::string& prompt, PromptKind kind);
/// `foresight inspect`: JSON on stdout of an oracle file, a checkpoint folder or a safetensors file.
void command_inspect(const std::filesystem::path& path);

}  // namespace foresight
