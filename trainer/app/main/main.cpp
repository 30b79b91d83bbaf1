// foresight <command> --config FILE [key=value ...]: parses, calls the command, and is the only place that
// catches and exits.
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

#include "golden_eviction/plan_file.h"
#include "trainer/app/commands.h"
#include "trainer/app/faults.h"
#include "trainer/app/main/command_line.h"
#include "trainer/app/main/completion.h"
#include "trainer/app/tiny_model.h"
#include "trainer/base/error.h"
#include "trainer/base/heartbeat.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/standard_descriptors.h"
#include "trainer/base/standard_output.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/comm/world.h"
#include "trainer/config/load.h"
#include "trainer/config/names.h"
#include "trainer/runs/comparison_page.h"

namespace foresight {
namespace {

/// True for the commands that all ranks of a job work on. Only rank 0 runs the others.
bool is_for_all_ranks(const std::string& command) {
  return command == "run" || stage_named(command);
}

OutputForm output_form(const Arguments& arguments) {
  return arguments.json ? OutputForm::kJson : OutputForm::kText;
}

void compare(const Arguments& arguments) {
  if (arguments.page.empty()) return command_compare(arguments.folders, output_form(arguments));
  command_compare_page(arguments.folders, arguments.page);
  print(arguments.page + "\n");
}

/// Runs a command that needs no config; false for any other command.
bool run_tool(const CLI::App& app, const CLI::App& command, const Arguments& arguments) {
  const std::string name = command.get_name();
  if (name == "plan") {
    plan_file(arguments.attention, {arguments.budget, arguments.window},
              arguments.stored_precision ? PlanPrecision::kStored : PlanPrecision::kFloat32,
              arguments.output);
  } else if (name == "inspect") {
    command_inspect(arguments.path);
  } else if (name == "make-tiny-model") {
    make_tiny_model(arguments.path, arguments.seed);
  } else if (name == "runs") {
    command_runs(arguments.path, output_form(arguments));
  } else if (name == "status") {
    command_status(arguments.path, output_form(arguments));
  } else if (name == "compare") {
    compare(arguments);
  } else if (name == "report" && !arguments.runs.empty()) {
    print(write_overview(arguments.runs).string() + "\n");
  } else if (name == "doctor") {
    command_doctor(arguments.path.empty() ? "runs" : arguments.path, output_form(arguments));
  } else if (name == "completion") {
    print(completion_script(app, config_keys(), arguments.shell));
  } else if (name == "config" && command.got_subcommand("docs")) {
    print(configuration_markdown());
  } else if (name == "config" && command.got_subcommand("init")) {
    print(command_config_init(arguments.name, arguments.output).string() + "\n");
  } else {
    return false;
  }
  return true;
}

/// Throws Error(kConfig) for a --out or --html that no file can be written to, before any work.
void require_output_file(const std::string& path) {
  if (path == "-" || std::filesystem::is_directory(path)) {
    throw Error(ErrorKind::kConfig,
                concat("'", one_line(path), "' is ", path == "-" ? "not a file name" : "a folder",
                       "; give --out or --html the file to write (/dev/stdout prints it)"));
  }
}

void run_command(const CLI::App& app, const Arguments& arguments, World& world) {
  const CLI::App& command = *app.get_subcommands().front();
  const std::string name = command.get_name();
  if (!world.leads() && !is_for_all_ranks(name)) return;
  require_output_file(arguments.output);
  require_output_file(arguments.page);
  if (run_tool(app, command, arguments)) return;
  const Config config = load_config(arguments.config, arguments.overrides, arguments.set_files);
  world.set_silence_limit(static_cast<double>(config.runtime.silence_limit_s));
  if (name == "config") {
    print(to_yaml(config));
  } else if (name == "validate") {
    if (command.count("--elsewhere") == 0)
      command_validate(config, output_form(arguments));
    else
      command_validate_elsewhere(config, arguments.ranks, output_form(arguments));
  } else if (name == "run") {
    command_run(config, world, output_form(arguments));
  } else if (name == "report") {
    print(command_report(config).string() + "\n");
  } else if (name == "export") {
    print(command_export(config, arguments.policy, arguments.output,
                         arguments.released ? ExportLayout::kReleased : ExportLayout::kForesight)
              .string() +
          "\n");
  } else if (name == "generate") {
    command_generate(config, arguments.prompt, arguments.raw ? PromptKind::kRaw : PromptKind::kChat);
  } else {
    command_stage(config, enum_from_string<Stage>(name), world, output_form(arguments));
  }
}

/// Keeps freed memory for the next tensor: a forward pass allocates the same megabytes over and over, and
/// pages fresh from the kernel cost 7 % of an evaluation's time.
void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kLargestHeapBlock = 32 << 20;  // the most that glibc takes
  constexpr int kNeverTrim = 1 << 30;
  mallopt(M_MMAP_THRESHOLD, kLargestHeapBlock);
  mallopt(M_TRIM_THRESHOLD, kNeverTrim);
#endif
}

/// Sets up one of several ranks: only rank 0 shows progress and news; the others only print warnings and
/// errors.
void speak_as_rank(World& world, const Arguments& arguments) {
  set_log_speaker(concat("rank ", world.rank(), " on ", world.host(world.rank())));
  if (!world.leads()) {
    if (arguments.log_level != "error") set_log_level(LogLevel::kWarning);
    Progress::set_quiet(true);
  }
  set_heartbeat([&world] { world.tick(); });
}

/// Prints the error and ends the job on all ranks. An error that several ranks find at once is printed once:
/// rank 0 prints first, and the other ranks see the end of the job as a stop.
int end_job(World& world, int exit_code, const std::string& message) {
  if (!world.leads()) {
    const auto wait = std::chrono::milliseconds(std::min(500 * world.rank(), 10000));
    const bool asked_before = stop_requested();
    std::this_thread::sleep_for(wait);
    if (!asked_before && stop_requested()) world.abort(exit_code);
  }
  log_error(message);
  if (world.size() > 1) world.abort(exit_code);
  return exit_code;
}

/// Prints help, the version, or what is wrong with the command line. Returns the exit code.
int end_parsing(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream out, err;
  const bool asked_for = app.exit(error, out, err) == 0;
  std::cerr << err.str();
  try {
    print(out.str());
  } catch (const Error& fault) {
    log_error(fault.what());
    return fault.exit_code();
  }
  return asked_for ? 0 : static_cast<int>(ErrorKind::kConfig);
}

int run_program(int count, char** values) {
  keep_freed_memory();
  install_signal_handlers();
  Arguments arguments;
  CLI::App app{"Foresight trains KV-cache eviction policies for language models.", "foresight"};
  declare_commands(app, arguments);
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    const std::string unknown = unknown_command(app, {values + 1, values + count});
    if (error.get_exit_code() != 0 && !unknown.empty()) {
      log_error(unknown);
      return static_cast<int>(ErrorKind::kConfig);
    }
    return end_parsing(app, error);
  }
  std::unique_ptr<World> world;
  try {
    world = join_world();
  } catch (const Error& error) {
    log_error(error.what());
    return error.exit_code();
  }
  if (arguments.log_level == "debug") set_log_level(LogLevel::kDebug);
  if (arguments.log_level == "warning" || arguments.quiet) set_log_level(LogLevel::kWarning);
  if (arguments.log_level == "error") set_log_level(LogLevel::kError);
  Progress::set_quiet(arguments.quiet);
  if (world->size() > 1) speak_as_rank(*world, arguments);
  try {
    expand_homes(arguments);
    run_command(app, arguments, *world);
    return 0;
  } catch (const std::exception& exception) {
    const Error fault = fault_of(exception);
    return end_job(*world, fault.exit_code(), fault.what());
  }
}

}  // namespace
}  // namespace foresight

int main(int count, char** values) {
  if (!foresight::hold_standard_descriptors()) return static_cast<int>(foresight::ErrorKind::kResource);
  return foresight::run_program(count, values);
}
