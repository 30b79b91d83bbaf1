#!/usr/bin/env bash
# On a machine with a GPU, in some four minutes after the build: runs the tests with label gpu, some of them under
# compute-sanitizer too, then the oracle and three GRPO steps of a random model of a real model's shape, and prints their
# tokens/s (without the first, which warms up) beside the bare products of the same shapes and transformers.
#
# usage: scripts/gpu_check.sh [--archive FILE] [--shape NAME] [--layers N] [--tokens N] [--profile] [--no-tests]
#                             [--peak-tflops N] [--device cuda|cpu]
#   --archive FILE    binaries that scripts/gpu_pack.sh packed on another machine, instead of a build here
#   --shape NAME      of scripts/make_random_model.py (default llama-1b)
#   --layers N        fewer layers than the shape has
#   --tokens N        length of the traces (default 4096)
#   --profile         the GRPO steps once more under CUPTI: kernels and copies by time, and how long the GPU is busy
#   --no-tests        only measure
#   --peak-tflops N   dense bfloat16 peak of the device (default 989: an H100 or H200 SXM by their data sheets)
#   --device cpu      measure this machine's processor instead, to try the script
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

peak_tflops=989 shape=llama-1b layers=() tokens=4096 device=cuda archive="" profile=false tests=true
while (($# > 0)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --archive) archive=$(realpath "${2:?--archive needs a file}"); shift 2 ;;
    --shape) shape=${2:?--shape needs a name}; shift 2 ;;
    --layers) layers=(--layers "${2:?--layers needs a number}"); shift 2 ;;
    --tokens) tokens=${2:?--tokens needs a number}; shift 2 ;;
    --profile) profile=true; shift ;;
    --no-tests) tests=false; shift ;;
    --peak-tflops) peak_tflops=${2:?--peak-tflops needs a number}; shift 2 ;;
    --device) device=${2:?--device needs cuda or cpu}; shift 2 ;;
    *) fail "unknown option '$1'; see scripts/gpu_check.sh --help" ;;
  esac
done

work=$(mktemp -d)
sampler=""
trap '[[ -z $sampler ]] || kill "$sampler" 2>/dev/null || true; rm -rf "$work"' EXIT
if [[ $device == cuda ]]; then
  command -v nvidia-smi >/dev/null || fail "no nvidia-smi here: this script needs a GPU and its driver (or --device cpu)"
fi
[[ -x $python ]] || python=$(command -v python3)
if [[ -n $archive ]]; then
  tar -C "$work" -xzf "$archive"
  bin=$work/bin bench=$work/bin/foresight_bench test_gpu=$work/bin/test_gpu profiler=$work/bin/launch_profile.so
  packages=$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__path__[0]).parent)')
  LD_LIBRARY_PATH=$(printf '%s:' "$packages"/torch/lib "$packages"/nvidia/*/lib)$work/lib
  export LD_LIBRARY_PATH FORESIGHT_SOURCE_DIR=$root FORESIGHT_BINARY_DIR=$work
else
  scripts/build.sh
  folder=$(realpath "${FORESIGHT_BUILD:-build}")
  bin=$folder bench=$folder/bench/foresight_bench test_gpu=$folder/tests/test_gpu profiler=$folder/tests/launch_profile.so
  export FORESIGHT_SOURCE_DIR=$root FORESIGHT_BINARY_DIR=$folder
fi

if $tests && [[ $device == cuda ]]; then
  say "tests with label gpu"
  "$test_gpu"
  sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
  if [[ -x $sanitizer ]]; then
    for tool in memcheck racecheck; do
      say "kernels under compute-sanitizer, $tool"
      "$sanitizer" --tool "$tool" --error-exitcode 1 "$test_gpu" 'gpu: window attention*,gpu: bfloat16 rows*,gpu: noise*,gpu: rollouts*'
    done
  fi
fi

say "making a random model of shape $shape"
"$bin/foresight" --quiet make-tiny-model "$work/tiny"
"$python" scripts/make_random_model.py "$work/model" --tokenizer "$work/tiny" --shape "$shape" "${layers[@]}"
for _ in $(seq 20); do cat "$work/tiny/train.jsonl"; done >"$work/train.jsonl"
overrides=("data.trace_tokens=$tokens" data.max_train_traces=3 data.validation_traces=1 supervised.steps=1 grpo.steps=3
  grpo.traces_per_step=2 grpo.group_size=8 grpo.rollouts_per_pass=16 "runtime.device=$device")
printf 'output: %s\nmodel: {path: %s}\ndata: {train: [%s]}\neviction: {budget: 512, window: 64}\n' \
  "$work/run" "$work/model" "$work/train.jsonl" >"$work/check.yaml"
if [[ $device == cuda ]]; then # the most that was in use while it ran, in MiB
  (while sleep 0.2; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -i 0; done >"$work/memory") &
  sampler=$!
fi
for stage in oracle supervised; do
  "$bin/foresight" --quiet "$stage" --config "$work/check.yaml" "${overrides[@]}"
done
if $profile; then cp -r "$work/run" "$work/profiled"; fi
"$bin/foresight" --quiet grpo --config "$work/check.yaml" "${overrides[@]}"
if $profile; then
  say "GRPO under CUPTI"
  CUDA_INJECTION64_PATH=$profiler "$bin/foresight" --quiet grpo --config "$work/check.yaml" "${overrides[@]}" "output=$work/profiled"
fi
say "bare products and full passes"
"$bench" "--model=$work/model" "--device=$device" --dtype=bfloat16 --benchmark_filter='forward_' --benchmark_min_time=0.5 \
  --benchmark_format=json >"$work/bench.json"
say "transformers"
"$python" scripts/bench_transformers.py "$work/model" --device "$device" --dtype bfloat16 --tokens 1024 4096 >"$work/transformers.json"
"$python" scripts/gpu_figures.py "$work" --peak-tflops "$peak_tflops"
