// What is made of a Config or of the declarations: YAML, differences, documentation.
#include <algorithm>
#include <map>
#include <set>

#include "trainer/base/text.h"
#include "trainer/config/declare.h"
#include "trainer/config/load.h"
#include "trainer/config/names.h"
#include "trainer/config/rules.h"
#include "trainer/config/values.h"

namespace foresight {
namespace {

// A value that could be taken for table markup is not.
std::string table_cell(const std::string& text) {
  std::string cell;
  for (const char letter : text) {
    if (letter == '|') cell += '\\';
    cell += letter;
  }
  return cell;
}

std::string limits_cell(const Key& key) {
  std::string limits = type_limits(key.type);
  if (std::get_if<BooleanType>(&key.type) != nullptr) limits.clear();
  return table_cell(limits);
}

/// "`model.path`, `data.train`": the keys with this trait, `section.*` for a section of which all keys have
/// it, on lines of at most 120 columns that are indented by two.
std::string keys_with(OnResume trait) {
  constexpr std::size_t kColumns = 120;
  std::vector<std::string> names;
  for (const Section& section : config_sections()) {
    const auto has = [&](const Key& key) { return key.on_resume == trait; };
    if (section.keys.size() > 1 && std::ranges::all_of(section.keys, has)) {
      names.push_back(concat("`", section.name, ".*`"));
      continue;
    }
    for (const Key& key : section.keys) {
      if (has(key)) names.push_back(concat("`", key.dotted(), "`"));
    }
  }
  std::string text, line;
  for (const std::string& name : names) {
    if (!line.empty() && line.size() + name.size() + 4 > kColumns) {
      text += concat(line, ",\n");
      line.clear();
    }
    line += concat(line.empty() ? "  " : ", ", name);
  }
  return text + line;
}

std::string resume_markdown() {
  std::vector<std::string> trainings;
  for (const Stage stage : kTrainingStages) trainings.push_back(concat("`", to_string(stage), "`"));
  return concat(
      "\n## Resuming with other values\n\n"
      "A checkpoint of ",
      join(trainings, " or "),
      " holds the config that it was written with. If a key has another value now, the\n"
      "stage refuses to resume from the checkpoint and does not count as finished. You may still change:\n\n"
      "- the keys of the other training stage's section;\n"
      "- paths whose content is compared instead:\n",
      keys_with(OnResume::kCompareContent), ";\n- keys that do not affect what is learned:\n",
      keys_with(OnResume::kMayChange), ".\n");
}

std::string section_markdown(const Section& section, const Config& defaults) {
  std::string text =
      concat("\n## ", section.name.empty() ? section.help : concat("`", section.name, "`"), "\n\n");
  if (!section.name.empty()) text += section.help + ".\n\n";
  text += "| key | type | default | range or choices | meaning |\n|---|---|---|---|---|\n";
  for (const Key& key : section.keys) {
    const std::string fallback = key.required ? "required" : concat("`", value_text(key.get(defaults)), "`");
    text += concat("| `", key.name, "` | ", type_name(key.type), " | ", table_cell(fallback), " | ",
                   limits_cell(key), " | ", table_cell(key.help), " |\n");
  }
  return text;
}

}  // namespace

std::string to_yaml(const Config& config) {
  std::string text;
  for (const Section& section : config_sections()) {
    const std::string indent = section.name.empty() ? "" : "  ";
    if (!section.name.empty()) text += section.name + ":\n";
    for (const Key& key : section.keys) {
      text += concat(indent, key.name, ": ", value_text(key.get(config)), "\n");
    }
  }
  return text;
}

std::string starting_yaml(const std::string& name) {
  const std::map<std::string, Value> examples = {
      {"output", "runs/" + name},
      {"model.path", std::string("models/SmolLM2-135M-Instruct")},
      {"data.train", std::vector<std::string>{"data/traces/quickstart_train.jsonl"}},
      {"data.evaluation", std::vector<std::string>{"data/traces/quickstart_evaluation.jsonl"}},
      {"data.trace_tokens", std::int64_t{768}},
      {"data.max_train_traces", std::int64_t{12}},
      {"data.validation_traces", std::int64_t{2}}};
  const std::set<std::string> chosen = {"eviction.budget", "eviction.window"};
  const Config defaults;
  std::string text =
      "# A run of Foresight. Keys that are commented out have the values shown. The other keys have to be\n"
      "# set, or are those that most runs change. docs/configuration.md has ranges and rules.\n";
  for (const Section& section : config_sections()) {
    const std::string indent = section.name.empty() ? "" : "  ";
    if (!section.name.empty()) text += concat("\n# ", section.help, ".\n", section.name, ":\n");
    for (const Key& key : section.keys) {
      const auto example = examples.find(key.dotted());
      const bool set = example != examples.end() || chosen.contains(key.dotted());
      const Value value = example != examples.end() ? example->second : key.get(defaults);
      text += concat(indent, "# ", key.help, "\n", indent, set ? "" : "# ", key.name, ": ", value_text(value),
                     "\n");
    }
  }
  return text;
}

std::string KeyDifference::text() const {
  return concat(key->dotted(), ": ", before, " -> ", after);
}

std::vector<KeyDifference> config_differences(const Config& before, const Config& after) {
  std::vector<KeyDifference> differences;
  for (const Section& section : config_sections()) {
    for (const Key& key : section.keys) {
      const Value old_value = key.get(before);
      const Value new_value = key.get(after);
      if (old_value == new_value) continue;
      differences.push_back({&key, value_text(old_value), value_text(new_value)});
    }
  }
  return differences;
}

std::string configuration_markdown() {
  std::string text =
      "<!-- Generated by `foresight config docs`; change trainer/config/declare.cpp instead. -->\n"
      "# Configuration\n\n"
      "One YAML file describes an experiment. A key or a section that you leave out has its defaults;\n"
      "`required` keys have none. All errors are reported at once with their lines: unknown keys, keys that\n"
      "are set twice, values of a wrong type or out of range, and broken rules.\n\n"
      "You can set any key on the command line as `section.key=value`, with the value in YAML syntax, for\n"
      "example `supervised.steps=50` or `data.train=[a.jsonl, b.jsonl]`. In paths `${NAME}` stands for the\n"
      "environment variable NAME, and a leading `~/` for the home folder. Relative paths start at the\n"
      "working directory, unless the key says otherwise.\n\n"
      "A file may be based on another one: with `base: other.yaml` at its top (a path relative to the file\n"
      "itself), the program reads that file first, and the file's own keys override it. `--set-file\n"
      "part.yaml`, which may be given several times, puts a part of a config on top of all files, for "
      "example\n"
      "in a sweep. `section.key=value` overrides all of them. `foresight config show` prints the resulting\n"
      "config, and `foresight config init NAME` writes a commented config to start from.\n\n"
      "YAML anchors, aliases and tags are not accepted.\n";
  const Config defaults;
  for (const Section& section : config_sections()) text += section_markdown(section, defaults);
  text += "\n## Rules between keys\n\n";
  for (const Rule& rule : config_rules()) text += "- " + table_cell(rule.description) + "\n";
  return text + resume_markdown();
}

}  // namespace foresight
