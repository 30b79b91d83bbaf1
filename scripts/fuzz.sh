#!/usr/bin/env bash
# Builds the fuzz targets (tests/fuzz; Clang, libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer) into
# build-fuzz/, runs them one after the other and prints for each how many inputs it took and how many broke it.
# Needs scripts/setup.sh --fuzz once.
#
# usage: scripts/fuzz.sh [--inputs N] [--seconds S] [target ...]
#   --inputs N    N inputs in all, divided among the targets by their shares (default 50000 as in CI; a full run: 1000000).
#                 It starts from the seeds in tests/fuzz/corpus with a fixed random seed, so that the inputs stay the same.
#   --seconds S   S seconds for each target instead, continuing with the inputs that earlier such runs kept
#   target ...    only these, for example: json tokenizer (default: all but oracle_forged, which breaks HDF5 itself)
#
# An input that breaks a target stays in build-fuzz/findings/TARGET/. Try it again with
#   build-fuzz/tests/fuzz_TARGET build-fuzz/findings/TARGET/FILE
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# target: its share of the inputs in percent (0: only when named), the longest input in bytes, the dictionary
targets=(
  "json 10 4096 json"
  "safetensors 12 4096 json"
  "scorer 9 8192 json"
  "model_config 10 4096 json"
  "shard_index 6 4096 json"
  "rows 11 4096 json"
  "tokenizer 14 4096 json"
  "chat_template 7 4096 json"
  "manifest 7 2048 json"
  "config 5 2048 yaml"
  "oracle 6 16384 -"
  "oracle_made 3 512 -"
  "oracle_forged 0 16384 -"
)
inputs=50000 seconds=0 wanted=()
while (($# > 0)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --inputs) inputs=${2:?--inputs needs a number}; shift 2 ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
    -*) fail "unknown option '$1'; see scripts/fuzz.sh --help" ;;
    *) wanted+=("$1"); shift ;;
  esac
done
[[ $inputs =~ ^[0-9]+$ && $seconds =~ ^[0-9]+$ ]] || fail "--inputs and --seconds take whole numbers"
for name in "${wanted[@]}"; do
  printf '%s\n' "${targets[@]%% *}" | grep -qx -- "$name" || fail "there is no target '$name'; there are: ${targets[*]%% *}"
done
command -v clang++-14 >/dev/null || fail "clang++-14 is not there: run scripts/setup.sh --fuzz"

folder=build-fuzz
FORESIGHT_BUILD=$folder scripts/build.sh -DFORESIGHT_FUZZ=ON

# Targets write their input to a file, in memory if there is such a file system.
if [[ -w /dev/shm ]]; then work=$(mktemp -d -p /dev/shm); else work=$(mktemp -d); fi
trap 'rm -rf "$work"' EXIT
export TMPDIR=$work

# The targets to run, and the sum of their shares.
chosen=() shares=0
for target in "${targets[@]}"; do
  read -r name share longest dictionary <<<"$target"
  if ((${#wanted[@]} > 0)); then
    printf '%s\n' "${wanted[@]}" | grep -qx -- "$name" || continue
  elif ((share == 0)); then
    continue
  fi
  if ((share == 0)); then share=1; fi
  chosen+=("$name $share $longest $dictionary")
  shares=$((shares + share))
done

total=0 broken=0
# run NAME SHARE LONGEST DICTIONARY
run() {
  local name=$1 share=$2 longest=$3 dictionary=$4 started=$SECONDS status=0
  local found=$folder/corpus/$name findings=$folder/findings/$name log=$folder/$name.log
  # A first limit on memory; the targets themselves hold a parser to a multiple of its input (tests/fuzz/harness.h).
  local options=(-seed=1 -max_len="$longest" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=64 -print_final_stats=1
    -artifact_prefix="$findings/")
  if [[ $dictionary != - ]]; then options+=(-dict="tests/fuzz/dictionaries/$dictionary.dict"); fi
  if ((seconds > 0)); then
    options+=(-max_total_time="$seconds")
  else
    rm -rf "$found"
    options+=(-runs=$((inputs * share / shares)))
  fi
  mkdir -p "$found" "$findings"
  # HDF5 itself leaks when it gives up on a damaged file.
  local leaks=1
  if [[ $name == oracle* ]]; then leaks=0; fi
  ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=$leaks "$folder/tests/fuzz_$name" "${options[@]}" \
    "$found" "tests/fuzz/corpus/${name%_forged}" >"$log" 2>&1 || status=$?
  local done_inputs crashes=$((status != 0))
  done_inputs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  if ((crashes > 0)); then
    grep -aE '^fuzz: |ERROR: |runtime error|^SUMMARY|Test unit written' "$log" >&2 || tail -n 20 "$log" >&2
    warn "$name: see $log"
  fi
  total=$((total + ${done_inputs:-0})) broken=$((broken + crashes))
  say "fuzz: $(printf '%-14s %8d inputs %3d crashes %6d s' "$name" "${done_inputs:-0}" "$crashes" $((SECONDS - started)))"
}
for target in "${chosen[@]}"; do
  read -r name share longest dictionary <<<"$target"
  run "$name" "$share" "$longest" "$dictionary"
done
say "fuzz: $total inputs, $broken crashes, $SECONDS s"
if ((broken > 0)); then fail "inputs that break a parser lie in $folder/findings"; fi
