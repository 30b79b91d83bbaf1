#!/usr/bin/env bash
# Runs what takes too long for CI: the whole suite under the sanitizers, the thread sanitizer, coverage, every fault of
# the fault matrix, a million fuzz inputs, jobs on several hosts, vLLM, the wheel with MPI. Every part runs, even if one
# before failed; the exit code is 1 if any failed.
#
# usage: scripts/nightly.sh [part ...]
#   parts: sanitize thread coverage faults fuzz hosts serving wheel (default: all; one to two hours on two cores)
# The output of each part is in build-nightly/PART.log.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
esac
parts=("$@")
if ((${#parts[@]} == 0)); then parts=(sanitize thread coverage faults fuzz hosts serving wheel); fi

# command_of PART: sets the array `command` to the command of the part.
command_of() {
  case $1 in
    sanitize) command=(scripts/sanitize.sh --all) ;;
    thread) command=(scripts/sanitize.sh --thread) ;;
    coverage) command=(scripts/coverage.sh) ;;
    faults) command=(scripts/fault_matrix.sh) ;;
    fuzz) command=(scripts/fuzz.sh --inputs 1000000) ;;
    hosts) command=("$python" tests/hosts/test_hosts.py --program "${FORESIGHT_BUILD:-build}/foresight") ;;
    serving) command=(scripts/serving_test.sh) ;;
    wheel) command=(scripts/wheel.sh --mpi) ;;
    *) fail "there is no part '$1'; there are: sanitize thread coverage faults fuzz hosts serving wheel" ;;
  esac
}
for part in "${parts[@]}"; do command_of "$part"; done

scripts/setup.sh --model --fuzz --browser --coverage --hosts
scripts/build.sh
mkdir -p build-nightly
failed=()
for part in "${parts[@]}"; do
  command_of "$part"
  log=build-nightly/$part.log started=$SECONDS verdict=passed
  say "nightly: $part (${command[*]}; output: $log)"
  "${command[@]}" >"$log" 2>&1 || { verdict=FAILED; failed+=("$part"); }
  say "nightly: $part $verdict in $((SECONDS - started)) s"
  tail -n 12 "$log" | sed 's/^/    /'
done
if ((${#failed[@]} > 0)); then fail "failed: ${failed[*]}"; fi
say "all parts passed"
