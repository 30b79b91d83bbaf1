#!/usr/bin/env bash
# Prints the memory of each stage, without the model and the full cache, for traces of several lengths: a random model of
# Qwen3-4B's widths with two layers, budget 1024, window 256; one oracle pass, one supervised step with streamed features,
# one GRPO step of 8 rollouts, one evaluation of two policies. It also prints the estimate of `foresight validate`, and the
# growth by layers extrapolated to the model's 36.
#
# usage: scripts/memory_by_length.sh [--lengths "2048 8192 32768"] [--layers N] [--no-build]
#
# On one core with amx, 8192 tokens take some 5 minutes and 32768 tokens some 30.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

lengths="2048 8192 32768" layers=2 build=true
while (($#)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --lengths) lengths=${2:?--lengths needs numbers}; shift 2 ;;
    --layers) layers=${2:?--layers needs a number}; shift 2 ;;
    --no-build) build=false; shift ;;
    *) fail "unknown option '$1'; see scripts/memory_by_length.sh --help" ;;
  esac
done
folder=${FORESIGHT_BUILD:-build}
if $build; then scripts/build.sh --target foresight_bench >&2; fi
if $build; then scripts/build.sh --target foresight >&2; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$folder/foresight" --quiet make-tiny-model "$work/tiny"
"$python" scripts/make_random_model.py "$work/model" --tokenizer "$work/tiny" --shape qwen3-4b --layers "$layers"
export FORESIGHT_BENCH_TRACES=$work/traces
for length in $lengths; do # each part has a process of its own and finds no memory that the one before freed
  for part in oracle stages; do
    "$folder/bench/foresight_bench" --model="$work/model" --dtype=bfloat16 --benchmark_format=json \
      --benchmark_filter="memory_of_$part/$length/" >"$work/$length-$part.json"
  done
done
"$python" scripts/memory_table.py "$work" --layers "$layers"
