#!/usr/bin/env bash
# An exported scorer served for real: the operators under vLLM's torch, and vLLM with the plugin against vLLM without it and
# against the program. Some 15 minutes on two cores; run scripts/build.sh and scripts/setup.sh --model before.
#
# usage: scripts/serving_test.sh [pytest argument ...]
#   for example -k blocks
#
# environment:
#   FORESIGHT_BUILD=folder                where the program was built (default build)
#   FORESIGHT_VLLM=/path/to/environment   vLLM's environment (default .venv-vllm; scripts/python/setup_vllm.sh makes it)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
esac
scripts/python/setup_vllm.sh
export FORESIGHT_BUILD=${FORESIGHT_BUILD:-build}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
pytest=("${FORESIGHT_VLLM:-.venv-vllm}"/bin/python -m pytest -p no:cacheprovider)
say "operators: the tests of scripts/python/tests with vLLM's torch"
"${pytest[@]}" -c pyproject.toml scripts/python/tests/test_operators.py scripts/python/tests/test_paged.py
say "vLLM: scripts/python/serving_tests"
exec "${pytest[@]}" -c pyproject.toml --rootdir scripts/python/serving_tests scripts/python/serving_tests "$@"
