#!/usr/bin/env bash
# On a machine with a GPU: builds, runs the GPU tests, the kernels' under compute-sanitizer too, then the oracle and one GRPO step of a random model of a real
# model's shape, and prints tokens/s, memory and the fraction of the device's peak.
#
# usage: scripts/gpu_check.sh [--peak-tflops N] [--shape NAME] [--layers N] [--tokens N] [--device cuda|cpu] [--no-build]
#   --peak-tflops N   dense bfloat16 peak of the device (default 989: an H100 SXM by its data sheet)
#   --shape NAME      of scripts/make_random_model.py (default llama-1b)
#   --layers N        fewer layers than the shape has
#   --tokens N        length of the traces (default 4096)
#   --no-build        use the binaries of FORESIGHT_BUILD (default build/) as they are, without a build and tests
#   --device cpu      measure this machine's processor instead, to try the script
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

peak_tflops=989 shape=llama-1b layers=() tokens=4096 device=cuda build=true
while (($# > 0)); do
  case $1 in
    -h | --help) print_help; exit 0 ;;
    --peak-tflops) peak_tflops=${2:?--peak-tflops needs a number}; shift 2 ;;
    --shape) shape=${2:?--shape needs a name}; shift 2 ;;
    --layers) layers=(--layers "${2:?--layers needs a number}"); shift 2 ;;
    --tokens) tokens=${2:?--tokens needs a number}; shift 2 ;;
    --no-build) build=false; shift ;;
    --device) device=${2:?--device needs cuda or cpu}; shift 2 ;;
    *) fail "unknown option '$1'; see scripts/gpu_check.sh --help" ;;
  esac
done

folder=${FORESIGHT_BUILD:-build}
if [[ $device == cuda ]]; then
  command -v nvidia-smi >/dev/null || fail "no nvidia-smi here: this script needs a GPU and its driver (or --device cpu)"
fi
if ! $build; then
  say "using the binaries in $folder as they are"
elif [[ $device == cuda ]]; then
  scripts/build.sh -DFORESIGHT_CUDA=ON
  say "tests with label gpu"
  ctest --test-dir "$folder" -L gpu --output-on-failure -j1 --no-tests=error
  sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
  if [[ -x $sanitizer ]]; then
    for tool in memcheck racecheck; do
      say "kernels under compute-sanitizer, $tool"
      "$sanitizer" --tool "$tool" --error-exitcode 1 "$folder/tests/test_gpu" 'gpu: window attention*'
    done
  fi
else
  scripts/build.sh --target foresight
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "making a random model of shape $shape"
"$folder/foresight" --quiet make-tiny-model "$work/tiny"
"$python" scripts/make_random_model.py "$work/model" --tokenizer "$work/tiny" --shape "$shape" "${layers[@]}"
for _ in $(seq 20); do cat "$work/tiny/train.jsonl"; done >"$work/train.jsonl"
overrides=("output=$work/run" "model.path=$work/model" "data.train=[$work/train.jsonl]" "data.trace_tokens=$tokens"
  data.max_train_traces=2 data.validation_traces=1 eviction.budget=512 eviction.window=64 supervised.steps=1
  grpo.steps=1 grpo.traces_per_step=2 grpo.group_size=8 grpo.rollouts_per_pass=16 "runtime.device=$device")
printf 'output: %s\nmodel: {path: %s}\ndata: {train: [%s]}\neviction: {budget: 512, window: 64}\n' \
  "$work/run" "$work/model" "$work/train.jsonl" >"$work/check.yaml"
if [[ $device == cuda ]]; then # the most that was in use while it ran, in MiB
  (while sleep 0.2; do nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -i 0; done >"$work/memory") &
  sampler=$!
  trap 'kill $sampler 2>/dev/null || true; rm -rf "$work"' EXIT
fi
for stage in oracle supervised grpo; do
  "$folder/foresight" --quiet "$stage" --config "$work/check.yaml" "${overrides[@]}"
done
"$python" scripts/gpu_figures.py "$work" --peak-tflops "$peak_tflops"
