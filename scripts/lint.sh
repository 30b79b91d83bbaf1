#!/usr/bin/env bash
# Checks sources and pages without running them: clang-format, scripts/check_sources.py, scripts/check_pages.py,
# clang-tidy, shellcheck. Needs scripts/setup.sh --lint once, and a configured build folder for clang-tidy.
#
# usage: scripts/lint.sh [--no-tidy | --tidy-all]
#   --no-tidy    leave out clang-tidy (a minute or two); the rest takes seconds
#   --tidy-all   clang-tidy for the files that include torch too (many minutes)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

tidy=true
tidy_all=false
case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --no-tidy) tidy=false ;;
  --tidy-all) tidy_all=true ;;
  "") ;;
  *) fail "unknown option '$1'; see scripts/lint.sh --help" ;;
esac

# All files that are tracked, or new and not ignored: a new file is checked before it is committed.
listed() { git ls-files -z --cached --others --exclude-standard --deduplicate -- "$@" | xargs -0 -r ls -d 2>/dev/null; }
mapfile -t cpp_files < <(listed '*.h' '*.cpp')
mapfile -t shell_files < <(listed '*.sh' .ci/run)

# Every checker runs, even if one before failed.
failed=()
check() {
  local name=$1
  shift
  say "lint: $name"
  "$@" || failed+=("$name")
}
check "clang-format (fix with: clang-format-14 -i FILE)" clang-format-14 --dry-run --Werror "${cpp_files[@]}"
check "layers and source rules" python3 scripts/check_sources.py
check "pages" python3 scripts/check_pages.py
check "shellcheck" shellcheck -x "${shell_files[@]}"
if $tidy; then
  tidy_files=()
  # For a file that includes torch, clang parses all of torch, which takes minutes that CI does not have.
  if ! $tidy_all; then mapfile -t tidy_files < <(listed 'trainer/base/*.cpp' 'trainer/config/*.cpp' 'trainer/model_files/*.cpp' 'trainer/report/*.cpp' 'trainer/text/*.cpp' 'data/*.cpp'); fi
  check "clang-tidy" python3 scripts/tidy.py --build "${FORESIGHT_BUILD:-build}" "${tidy_files[@]}"
fi
if ((${#failed[@]} > 0)); then
  fail "lint found faults: $(IFS=';'; echo "${failed[*]}")"
fi
