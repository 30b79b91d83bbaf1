#include "trainer/app/main/command_line.h"

#include <algorithm>
#include <utility>

#include "trainer/app/build_facts.h"
#include "trainer/base/files.h"
#include "trainer/base/text.h"
#include "trainer/config/names.h"

namespace foresight {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done; 1 a fault of the program; 2 the command line or the config is wrong; 3 a file is\n"
    "missing, damaged or belongs to something else; 4 disk, memory or device; 5 NaN or Inf; 6 another rank\n"
    "of the job has ended or no longer answers; 75 a signal stopped the program, which has saved: run the\n"
    "same command again.";

/// Adds `lines` below the options of a command's help.
void add_examples(CLI::App& command, const std::vector<std::string>& lines) {
  command.footer("Examples:\n  " + join(lines, "\n  "));
}

/// A command that reads a config.
CLI::App& config_command(CLI::App& app, Arguments& arguments, const std::string& name,
                         const std::string& help, const std::vector<std::string>& examples) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("-c,--config", arguments.config, "YAML file of the experiment")->required();
  command
      ->add_option("--set-file", arguments.set_files,
                   "file with a part of a config that goes on top of it; may be repeated, later files win")
      ->allow_extra_args(false);
  command->add_option("overrides", arguments.overrides,
                      "key=value overrides a key of the config, for example supervised.steps=50");
  add_examples(*command, examples);
  return *command;
}

void add_json(CLI::App& command, Arguments& arguments, const std::string& help) {
  command.add_flag("--json", arguments.json, help);
}

void declare_stages(CLI::App& app, Arguments& arguments) {
  CLI::App& validate = config_command(
      app, arguments, "validate", "check config, model and data, and print what would run",
      {"foresight validate --config my.yaml", "foresight validate --config my.yaml --json | jq .needs",
       "foresight validate --config my.yaml --elsewhere 8"});
  validate.add_option("--elsewhere", arguments.ranks,
                      "print what this many ranks would take on another machine; this only needs the config "
                      "and the model's config.json, not weights, traces or a GPU");
  add_json(validate, arguments, "print the same output as JSON");
  CLI::App& run = config_command(app, arguments, "run", "run all stages in order and skip finished ones",
                                 {"foresight run --config my.yaml",
                                  "foresight run --config my.yaml --set-file sweep/wide.yaml grpo.steps=80",
                                  "mpirun -np 4 foresight run --config my.yaml runtime.threads=8"});
  add_json(run, arguments, "print the evaluation as JSON instead of the table");
  config_command(app, arguments, to_string(Stage::kTraces),
                 "generate traces from prompts with the full cache",
                 {"foresight traces --config my.yaml 'traces.prompts=[prompts.jsonl]'"});
  config_command(app, arguments, to_string(Stage::kOracle),
                 "record future attention, loss and entropy of traces in HDF5",
                 {"foresight oracle --config my.yaml oracle.compression=4"});
  config_command(app, arguments, to_string(Stage::kSupervised),
                 "train the scorer to rank as the golden plan does",
                 {"foresight supervised --config my.yaml supervised.steps=500",
                  "foresight supervised --config my.yaml runtime.tensorboard=true"});
  config_command(
      app, arguments, to_string(Stage::kGrpo), "fine-tune the scorer by reinforcement learning",
      {"foresight grpo --config my.yaml grpo.group_size=16", "mpirun -np 8 foresight grpo --config my.yaml"});
  CLI::App& evaluate =
      config_command(app, arguments, to_string(Stage::kEvaluate), "compare policies on held-out traces",
                     {"foresight evaluate --config my.yaml 'evaluation.budgets=[64, 256, 512]'",
                      "foresight evaluate --config my.yaml 'evaluation.policies=[full, grpo, "
                      "imported.safetensors]' --json"});
  add_json(evaluate, arguments, "print the evaluation as JSON instead of the table");
}

/// Of one run by its config, or of all runs below a folder, which need none.
void declare_report(CLI::App& app, Arguments& arguments) {
  CLI::App& report = config_command(
      app, arguments, "report",
      "write the run's evaluation and training as one page (report.html) and a table (report.csv)",
      {"foresight report --config my.yaml", "foresight report --runs runs"});
  CLI::Option* const config = report.get_option("--config")->required(false);
  CLI::Option* const runs =
      report.add_option("--runs", arguments.runs, "write all runs below this folder to overview.html there")
          ->excludes(config)
          ->excludes("--set-file")
          ->excludes("overrides");
  report.parse_complete_callback([config, runs] {
    if (config->count() + runs->count() == 0) throw CLI::RequiredError("--config or --runs");
  });
}

void declare_compare(CLI::App& app, Arguments& arguments) {
  CLI::App* compare = app.add_subcommand("compare", "show how runs differ: config, metrics, policies");
  compare->add_option("runs", arguments.folders, "folders of two runs or more")->required()->expected(2, -1);
  CLI::Option* const page = compare->add_option("--html", arguments.page,
                                                "write one page with all of them, and curves, to this file");
  add_json(*compare, arguments, "print the same output as JSON");
  compare->get_option("--json")->excludes(page);
  add_examples(*compare, {"foresight compare runs/narrow runs/wide",
                          "foresight compare runs/narrow runs/wide runs/long --html comparison.html"});
}

void declare_results(CLI::App& app, Arguments& arguments) {
  declare_report(app, arguments);
  CLI::App& exporting =
      config_command(app, arguments, "export", "write a scorer as one safetensors file",
                     {"foresight export --config my.yaml --policy grpo",
                      "foresight export --config my.yaml --policy supervised --out scorer.safetensors"});
  exporting.add_option("--policy", arguments.policy, "supervised | grpo | a scorer's .safetensors");
  exporting.add_option("-o,--out", arguments.output,
                       "file to write (default: <output>/exports/<policy>.safetensors)");
  exporting.add_flag("--released", arguments.released,
                     "write the layout of the authors' code (needs scorer.features: released)");
  CLI::App& generating =
      config_command(app, arguments, "generate", "continue a prompt under generation.policy",
                     {"foresight generate --config my.yaml --prompt 'What is 17 * 23?'",
                      "foresight generate --config my.yaml --prompt 'Once' --raw generation.policy=full "
                      "generation.temperature=0"});
  generating.add_option("-p,--prompt", arguments.prompt, "the user's message")->required();
  generating.add_flag("--raw", arguments.raw, "continue the prompt as it is, without the chat template");
  CLI::App* runs = app.add_subcommand("runs", "list the runs in and below a folder: stages, budgets, losses");
  runs->add_option("folder", arguments.path, "folder to search")->required();
  add_json(*runs, arguments, "print the list as JSON");
  add_examples(*runs, {"foresight runs runs", "foresight runs runs --json | jq '.[].path'"});
  CLI::App* status = app.add_subcommand(
      "status", "show what a run is doing: stages, rate, time left, newest measures, who holds it");
  status->add_option("folder", arguments.path, "folder of a run")->required();
  add_json(*status, arguments, "print the same output as JSON");
  add_examples(*status, {"foresight status runs/my", "watch -n 10 foresight status runs/my"});
  declare_compare(app, arguments);
}

void declare_tools(CLI::App& app, Arguments& arguments) {
  CLI::App* plan = app.add_subcommand("plan", "compute golden evictions of captured queries and keys");
  plan->add_option("--attention", arguments.attention, "safetensors with query [H, L, d] and key [K, L, d]")
      ->required();
  plan->add_option("--budget", arguments.budget, "entries kept per KV head")->required();
  plan->add_option("--window", arguments.window, "tokens between evictions")->required();
  plan->add_option("-o,--out", arguments.output, "safetensors to write")->required();
  plan->add_flag("--stored-precision", arguments.stored_precision,
                 "round attention to float16 first, as oracle files do");
  add_examples(
      *plan,
      {"foresight plan --attention captured.safetensors --budget 256 --window 64 --out plan.safetensors"});
  CLI::App* inspecting = app.add_subcommand(
      "inspect", "show what is in an oracle file, a model, a checkpoint or a scorer, as JSON");
  inspecting->add_option("path", arguments.path, "the file or folder")->required();
  add_examples(*inspecting, {"foresight inspect runs/my/oracle/train-000000.h5",
                             "foresight inspect runs/my/exports/grpo.safetensors | jq .metadata"});
  CLI::App* doctor = app.add_subcommand(
      "doctor",
      "check what a run will use of this machine: libraries, cores, memory, GPUs, ranks, limits, disk");
  doctor->add_option("folder", arguments.path, "where runs will be written (default: runs)");
  add_json(*doctor, arguments, "print the lines as JSON");
  add_examples(*doctor, {"foresight doctor", "foresight doctor /scratch/runs",
                         "foresight doctor --json | jq '.findings[] | select(.level != \"ok\")'"});
  CLI::App* tiny =
      app.add_subcommand("make-tiny-model", "write a tiny random model with tokenizer and traces");
  tiny->add_option("folder", arguments.path, "folder to write")->required();
  tiny->add_option("--seed", arguments.seed, "seed of weights and traces");
  add_examples(*tiny, {"foresight make-tiny-model runs/tiny-model"});
  CLI::App* configuration = app.add_subcommand("config", "write or show configs")->require_subcommand(1);
  CLI::App* init = configuration->add_subcommand("init", "write NAME.yaml, a commented config to start from");
  init->add_option("name", arguments.name, "name of the run; its output is runs/NAME")->required();
  init->add_option("-o,--out", arguments.output, "file to write (default: NAME.yaml)");
  add_examples(*init, {"foresight config init first"});
  config_command(*configuration, arguments, "show",
                 "show the effective config as YAML, with all files and overrides",
                 {"foresight config show --config my.yaml --set-file sweep/wide.yaml"});
  CLI::App* docs = configuration->add_subcommand("docs", "print docs/configuration.md");
  add_examples(*docs, {"foresight config docs > docs/configuration.md"});
  CLI::App* completion =
      app.add_subcommand("completion", "print a script that completes commands, options and keys");
  completion->add_option("shell", arguments.shell, "bash | zsh")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh"}));
  add_examples(*completion,
               {"source <(foresight completion bash)", "foresight completion zsh > ~/.zfunc/_foresight"});
}

std::string not_a_command(const CLI::App& app, const std::string& word) {
  constexpr const char* kTrain = "train";  // a command that people look for
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  const std::string all = join(names, ", ");
  if (app.get_parent() == nullptr) names.emplace_back(kTrain);
  const std::string nearest = nearest_name(word, names);
  return concat("'", one_line(word), "' is not a command of ", app.get_name(), "; ",
                nearest == kTrain ? "`run` trains in all stages, `supervised` and `grpo` in one of them"
                                  : concat("the nearest is ", nearest),
                " (", all, ")");
}

}  // namespace

std::string unknown_command(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  bool value_of_option = false;
  for (const std::string& word : words) {
    const auto commands = at->get_subcommands(nullptr);
    if (commands.empty()) break;
    if (std::exchange(value_of_option, word == "--log-level") || word.starts_with('-')) continue;
    const auto found = std::find_if(commands.begin(), commands.end(),
                                    [&](const CLI::App* command) { return command->get_name() == word; });
    if (found == commands.end()) return not_a_command(*at, word);
    at = *found;
  }
  return "";
}

void declare_commands(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(1);
  app.set_version_flag("--version", [] { return build_facts(); });
  app.add_flag("--quiet", arguments.quiet, "print warnings and errors only, no progress");
  app.add_option("--log-level", arguments.log_level, "debug | info | warning | error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.footer(concat("`foresight COMMAND --help` has options and examples.\n\n", kExitCodes,
                    "\n\nNO_COLOR turns colours off; only terminals get colours."));
  app.fallthrough();  // --quiet and --log-level may also follow the command
  declare_stages(app, arguments);
  declare_results(app, arguments);
  declare_tools(app, arguments);
}

void expand_homes(Arguments& arguments) {
  for (std::string* path : {&arguments.config, &arguments.output, &arguments.path, &arguments.page,
                            &arguments.runs, &arguments.attention, &arguments.policy}) {
    *path = expand_home(*path);
  }
  for (std::vector<std::filesystem::path>* paths : {&arguments.set_files, &arguments.folders}) {
    for (std::filesystem::path& path : *paths) path = expand_home(path.string());
  }
}

}  // namespace foresight
