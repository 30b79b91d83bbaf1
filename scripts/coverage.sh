#!/usr/bin/env bash
# Builds with line counters, runs the tests, and prints the share of each folder's lines that they reach. Needs
# scripts/setup.sh --coverage once (gcovr).
#
# usage: scripts/coverage.sh [ctest argument ...]
#   arguments go to ctest, for example -L unit (default: all tests)
# Afterwards build-coverage/coverage/index.html shows every line.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
esac
command -v gcovr >/dev/null || fail "gcovr is not there: run scripts/setup.sh --coverage"
folder=build-coverage
FORESIGHT_BUILD=$folder scripts/build.sh -DFORESIGHT_COVERAGE=ON
find "$folder" -name '*.gcda' -delete
# The fault matrix is left out, because a write that it makes fail may be one of the counters' writes.
ctest --test-dir "$folder" --output-on-failure -j1 --no-tests=error -E '^(faults|fault_checks|scripts)$' "$@"
mkdir -p "$folder/coverage"
gcovr --root . --object-directory "$folder" --filter 'trainer/' --filter 'data/' --filter 'golden_eviction/' --filter 'rl/' \
  --exclude-unreachable-branches --exclude-throw-branches --json-summary "$folder/coverage/summary.json" \
  --html-details "$folder/coverage/index.html" --txt "$folder/coverage/files.txt" "$folder"
"$python" scripts/coverage_table.py "$folder/coverage/summary.json"
