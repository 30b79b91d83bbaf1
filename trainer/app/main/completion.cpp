#include "trainer/app/main/completion.h"

#include "trainer/base/text.h"

namespace foresight {
namespace {

std::vector<std::string> names_of_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

bool reads_config(const CLI::App& command) {
  return command.get_option_no_throw("--config") != nullptr;
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands(nullptr)) names.push_back(command->get_name());
  return names;
}

/// One branch of the script's `case`: what may follow `path` ("grpo", "config show").
std::string branch(const CLI::App& command, const std::string& path) {
  std::vector<std::string> words = names_of_options(command);
  for (const std::string& name : names_of_commands(command)) words.push_back(name);
  return concat("    '", path, "') words='", join(words, " "), "'",
                reads_config(command) ? " keys=$all_keys" : "", " ;;\n");
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::vector<std::string>& config_keys,
                              const std::string& shell) {
  std::string branches = branch(app, "");
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    branches += branch(*command, command->get_name());
    for (const CLI::App* inner : command->get_subcommands(nullptr)) {
      branches += branch(*inner, command->get_name() + " " + inner->get_name());
    }
  }
  std::string keys;
  for (const std::string& key : config_keys) keys += (keys.empty() ? "" : " ") + key + "=";
  const std::string head =
      shell == "zsh" ? "#compdef foresight\nautoload -U +X bashcompinit && bashcompinit\n" : "";
  return concat(head, "# Made by `foresight completion ", shell, R"(`.
_foresight() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} chain='' words='' keys='' word index
  local all_commands=' )",
                join(names_of_commands(app), " "), R"( '
  local all_keys=')",
                keys, R"('
  COMPREPLY=()
  case $previous in
    --config | -c | --set-file | --out | -o | --attention | --html | --runs)
      COMPREPLY=($(compgen -f -- "$current"))
      return ;;
    --log-level)
      COMPREPLY=($(compgen -W 'debug info warning error' -- "$current"))
      return ;;
  esac
  for ((index = 1; index < COMP_CWORD; ++index)); do
    word=${COMP_WORDS[index]}
    if [[ -z $chain && $all_commands == *" $word "* ]]; then
      chain=$word
    elif [[ $chain == config && ( $word == init || $word == show || $word == docs ) ]]; then
      chain="config $word"
    fi
  done
  case $chain in
)",
                branches, R"(  esac
  if [[ $chain == completion ]]; then words="$words bash zsh"; fi
  COMPREPLY=($(compgen -W "$words $keys" -- "$current"))
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
    type compopt >/dev/null 2>&1 && compopt -o nospace 2>/dev/null
  fi
  if [[ -n $chain && $current != -* ]]; then
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
complete -F _foresight foresight
)");
}

}  // namespace foresight
