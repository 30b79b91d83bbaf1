// foresight <command> --config FILE [key=value ...]: parses, calls the command, and is the only place that
// catches and exits.
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <set>
#include <thread>

#include "golden_eviction/plan_file.h"
#include "trainer/app/commands.h"
#include "trainer/app/tiny_model.h"
#include "trainer/base/error.h"
#include "trainer/base/log.h"
#include "trainer/base/progress.h"
#include "trainer/base/stop_signal.h"
#include "trainer/base/text.h"
#include "trainer/base/version.h"
#include "trainer/comm/world.h"
#include "trainer/config/load.h"

namespace foresight {
namespace {

/// Everything that the command line can say.
struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string policy = "grpo", output, prompt, path, attention;
  std::int64_t budget = 0, window = 0;
  std::uint64_t seed = 1;
  bool released = false, raw = false, stored_precision = false, quiet = false;
  std::string log_level = "info";
};

/// A command that reads a config.
CLI::App* config_command(CLI::App& app, Arguments& arguments, const std::string& name,
                         const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("-c,--config", arguments.config, "YAML file of the experiment")->required();
  command->add_option("overrides", arguments.overrides,
                      "key=value: overrides a key of the config, for example supervised.steps=50");
  return command;
}

void declare_commands(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  app.set_version_flag("--version", code_version());
  app.add_flag("--quiet", arguments.quiet, "no progress, warnings and errors only");
  app.add_option("--log-level", arguments.log_level, "debug | info | warning | error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  config_command(app, arguments, "validate", "check config, model and data, and print what would run");
  config_command(app, arguments, "run", "all stages in order; finished ones are skipped");
  config_command(app, arguments, "traces", "prompts -> full-KV traces");
  config_command(app, arguments, "oracle", "traces -> future attention, loss and entropy in HDF5");
  config_command(app, arguments, "supervised", "train the scorer to rank as the golden plan does");
  config_command(app, arguments, "grpo", "fine-tune the scorer by reinforcement learning");
  config_command(app, arguments, "evaluate", "policies side by side on held-out traces");
  config_command(app, arguments, "report",
                 "the run's evaluation and training as one page (report.html) and a table (report.csv)");
  CLI::App* exporting = config_command(app, arguments, "export", "a scorer as one safetensors file");
  exporting->add_option("--policy", arguments.policy, "supervised | grpo | a scorer's .safetensors");
  exporting->add_option("-o,--out", arguments.output,
                        "file to write (default: <output>/exports/<policy>.safetensors)");
  exporting->add_flag("--released", arguments.released,
                      "the layout of the authors' code alone (needs scorer.features: released)");
  CLI::App* generating =
      config_command(app, arguments, "generate", "continue a prompt under generation.policy");
  generating->add_option("-p,--prompt", arguments.prompt, "the user's message")->required();
  generating->add_flag("--raw", arguments.raw, "continue the prompt as it is, without the chat template");
  CLI::App* plan = app.add_subcommand("plan", "golden eviction of captured queries and keys");
  plan->add_option("--attention", arguments.attention, "safetensors with query [H, L, d] and key [K, L, d]")
      ->required();
  plan->add_option("--budget", arguments.budget, "entries kept per KV head")->required();
  plan->add_option("--window", arguments.window, "tokens between evictions")->required();
  plan->add_option("-o,--out", arguments.output, "safetensors to write")->required();
  plan->add_flag("--stored-precision", arguments.stored_precision,
                 "round attention to float16 first, as oracle files do");
  CLI::App* inspecting =
      app.add_subcommand("inspect", "what is in an oracle file, a checkpoint or a scorer (JSON)");
  inspecting->add_option("path", arguments.path, "the file or folder")->required();
  CLI::App* tiny = app.add_subcommand("make-tiny-model", "a tiny random model with tokenizer and traces");
  tiny->add_option("folder", arguments.path, "folder to write")->required();
  tiny->add_option("--seed", arguments.seed, "seed of weights and traces");
  CLI::App* configuration = app.add_subcommand("config", "about configs")->require_subcommand(1);
  configuration->add_subcommand("docs", "docs/configuration.md on stdout");
  CLI::App* show = config_command(*configuration, arguments, "show", "the effective config as YAML");
  show->group("");
}

/// Commands that all ranks of a job work on; the others are for one process, which is rank 0 then.
bool is_for_all_ranks(const std::string& command) {
  static const std::set<std::string> kStages = {"run", "traces", "oracle", "supervised", "grpo", "evaluate"};
  return kStages.contains(command);
}

void run_command(const CLI::App& app, const Arguments& arguments, World& world) {
  const CLI::App& command = *app.get_subcommands().front();
  const std::string name = command.get_name();
  if (!world.leads() && !is_for_all_ranks(name)) return;
  const CacheSize size{arguments.budget, arguments.window};
  if (name == "plan") {
    plan_file(arguments.attention, size,
              arguments.stored_precision ? PlanPrecision::kStored : PlanPrecision::kFloat32,
              arguments.output);
    return;
  }
  if (name == "inspect") return command_inspect(arguments.path);
  if (name == "make-tiny-model") return make_tiny_model(arguments.path, arguments.seed);
  if (name == "config" && command.got_subcommand("docs")) {
    std::cout << configuration_markdown() << std::flush;
    return;
  }
  const Config config = load_config(arguments.config, arguments.overrides);
  world.set_silence_limit(static_cast<double>(config.runtime.silence_limit_s));
  if (name == "config") {
    std::cout << to_yaml(config) << std::flush;
  } else if (name == "validate") {
    command_validate(config);
  } else if (name == "run") {
    command_run(config, world);
  } else if (name == "report") {
    std::cout << command_report(config).string() << std::endl;
  } else if (name == "export") {
    std::cout << command_export(config, arguments.policy, arguments.output,
                                arguments.released ? ExportLayout::kReleased : ExportLayout::kForesight)
                     .string()
              << std::endl;
  } else if (name == "generate") {
    command_generate(config, arguments.prompt, arguments.raw ? PromptKind::kRaw : PromptKind::kChat);
  } else {
    command_stage(config, name, world);
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

/// One of several ranks: rank 0 alone shows progress and news, the others only what goes wrong.
void speak_as_rank(World& world, const Arguments& arguments) {
  set_log_speaker(concat("rank ", world.rank(), " on ", world.host(world.rank())));
  if (!world.leads()) {
    if (arguments.log_level != "error") set_log_level(LogLevel::kWarning);
    Progress::set_quiet(true);
  }
  Progress::set_observer([&world] { world.tick(); });
}

/// Says what went wrong and ends the job on all ranks. What goes wrong on several at once is said once: rank
/// 0 speaks first, and the end that it brings about reaches the others as a stop.
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

int run_program(int count, char** values) {
  keep_freed_memory();
  Arguments arguments;
  CLI::App app{"Foresight trains KV-cache eviction policies for language models.", "foresight"};
  declare_commands(app, arguments);
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorKind::kConfig);
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
  install_stop_handlers();
  try {
    run_command(app, arguments, *world);
    return 0;
  } catch (const Error& error) {
    return end_job(*world, error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return end_job(
        *world, static_cast<int>(ErrorKind::kResource),
        "out of memory: lower evaluation.rows_per_pass, grpo.rollouts_per_pass or data.trace_tokens");
  } catch (const std::exception& error) {
    return end_job(*world, static_cast<int>(ErrorKind::kInternal),
                   std::string("internal fault: ") + error.what());
  }
}

}  // namespace
}  // namespace foresight

int main(int count, char** values) {
  return foresight::run_program(count, values);
}
