#!/usr/bin/env bash
# Builds the project's own code with sanitizers and runs tests under them; its libraries have no sanitizers.
# Needs scripts/setup.sh once.
#
# usage: scripts/sanitize.sh [--thread] [--all] [ctest argument ...]
#   default    AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer in build-sanitize/: the unit tests (CI)
#   --thread   ThreadSanitizer in build-thread/, for the folders without torch (OpenMP's own threads look like races)
#   --all      stage tests too: whole runs, and the program as a user calls it
#   other arguments go to ctest, for example -R scorer (only that folder)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# One thread of a unit test is busy most of the time, so they run side by side. The excluded are Python alone.
kind=address chosen=(-L unit -E 'fault_checks|scripts') target=unit_tests jobs=$(nproc)
while true; do
  case ${1:-} in
    -h | --help) print_help; exit 0 ;;
    --thread) kind=thread; shift ;;
    --all) chosen=() target=all jobs=1; shift ;;
    *) break ;;
  esac
done

if [[ $kind == thread ]]; then
  folder=build-thread
  FORESIGHT_BUILD=$folder scripts/build.sh --target thread_tests -DFORESIGHT_SANITIZE=thread
  chosen=(-L thread)
else
  folder=build-sanitize
  # Nobody edits in this build.
  FORESIGHT_BUILD=$folder FORESIGHT_TOGETHER=4 scripts/build.sh --target "$target" -DFORESIGHT_SANITIZE=address,undefined
fi
# strict_string_checks and the rest find more than the defaults; leaks inside libraries are named in the file.
export ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1:check_initialization_order=1:detect_leaks=1
export LSAN_OPTIONS=suppressions=$root/tests/leaks_of_libraries.txt:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
ctest --test-dir "$folder" --output-on-failure -j"$jobs" --no-tests=error "${chosen[@]}" "$@"
