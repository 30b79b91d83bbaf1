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
/// it.
std::string keys_with(OnResume trait) {
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
  return join(names, ", ");
}

std::string resume_markdown() {
  std::vector<std::string> trainings;
  for (const Stage stage : kTrainingStages) trainings.push_back(concat("`", to_string(stage), "`"));
  return concat(
      "\n## Going on with other values\n\n"
      "A checkpoint of ",
      join(trainings, " or "),
      " holds the config that it was written with. Once a key has another\n"
      "value, it is neither gone on from nor taken for finished. These may change all the same:\n\n"
      "- the keys in the section of the other of the two stages;\n"
      "- paths whose content is compared instead: ",
      keys_with(OnResume::kCompareContent),
      ";\n- keys that change nothing that is learnt: ", keys_with(OnResume::kMayChange), ".\n");
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
      "# A run of Foresight. Keys behind # have the values shown; those without have to be set, or are what "
      "a run\n"
      "# is most often about. docs/configuration.md has ranges and rules.\n";
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
      "One YAML file describes an experiment. Keys that are left out have their defaults, and so have whole\n"
      "sections; `required` keys have none. Unknown keys, keys that are set twice, values of a wrong type or "
      "out of\n"
      "range and broken rules are all reported at once, with their lines.\n\n"
      "Any key can be given on the command line as `section.key=value`, the value in YAML syntax, for "
      "example\n"
      "`supervised.steps=50` or `data.train=[a.jsonl, b.jsonl]`. In paths `${NAME}` stands for the "
      "environment\n"
      "variable NAME, and a leading `~/` for the home folder. Relative paths start at the folder that the "
      "program is run in, unless said otherwise.\n"
      "\n"
      "A file may be based on another: `base: other.yaml` at its top (relative to the file itself) reads "
      "that "
      "one\n"
      "first, and the file's own keys have the last word. `--set-file part.yaml` puts a part of a config on "
      "top of "
      "all\n"
      "files, several in the order given, for sweeps; `section.key=value` comes after them. `foresight "
      "config show`\n"
      "prints what results, `foresight config init NAME` writes a commented config to start from.\n"
      "\n"
      "YAML anchors, aliases and tags are not accepted.\n";
  const Config defaults;
  for (const Section& section : config_sections()) text += section_markdown(section, defaults);
  text += "\n## Rules between keys\n\n";
  for (const Rule& rule : config_rules()) text += "- " + table_cell(rule.description) + "\n";
  return text + resume_markdown();
}

}  // namespace foresight
