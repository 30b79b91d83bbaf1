#!/usr/bin/env bash
# From a fresh clone to a trained and evaluated eviction policy: sets up, builds, and runs configs/quickstart.yaml.
# You can run it again at any time: finished work is skipped and interrupted work resumes.
#
# usage: scripts/quickstart.sh [argument of `foresight run` ...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
esac
scripts/setup.sh --model
scripts/build.sh --target foresight
say "run: configs/quickstart.yaml"
exec "${FORESIGHT_BUILD:-build}/foresight" run --config configs/quickstart.yaml "$@"
