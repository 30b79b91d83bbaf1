#!/usr/bin/env bash
# Sets up .venv-python and runs the tests of scripts/python against the C++ program. Run scripts/build.sh before.
#
# usage: scripts/python/test.sh [pytest argument ...]
#   for example -k oracle, or -m 'not smollm2' without the real model (which scripts/setup.sh --model fetches)
#
# environment:
#   FORESIGHT_BUILD=folder   where the program was built (default build)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
esac
scripts/python/setup.sh
export FORESIGHT_BUILD=${FORESIGHT_BUILD:-build}
# One thread: the tiny model's tensors are too small for more, whose waiting for each other takes minutes on a busy machine.
# The tests of the real model ask for more themselves.
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
exec .venv-python/bin/python -m pytest -c pyproject.toml -p no:cacheprovider scripts/python/tests "$@"
