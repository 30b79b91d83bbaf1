#!/usr/bin/env bash
# Configures and builds into build/ (Ninja, Release). Run scripts/setup.sh once before.
#
# usage: scripts/build.sh [--target NAME] [cmake argument ...]
#   --target NAME   build only this target, for example foresight (default: everything, tests too)
#   other arguments go to cmake, for example -DFORESIGHT_CUDA=OFF -DFORESIGHT_SANITIZE=address,undefined
#
# environment:
#   FORESIGHT_PYTHON=/path/to/python   the Python whose torch is linked (default .venv/bin/python)
#   FORESIGHT_BUILD=folder             build there (default build)
#   FORESIGHT_JOBS=N                   compile N files at once (default: the cores, at most one per 2 GiB of memory)
#   FORESIGHT_TOGETHER=N               join N sources to one file for the compiler (default 1): half the time for a build
#                                      from nothing (.ci/run), more after an edit
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

target=all
case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --target) target=${2:?--target needs a name}; shift 2 ;;
esac
folder=${FORESIGHT_BUILD:-build}
available_gib=$(($(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024 / 1024))
jobs=$((available_gib / 2 < $(nproc) ? available_gib / 2 : $(nproc)))
jobs=${FORESIGHT_JOBS:-$((jobs > 0 ? jobs : 1))}

say "configure: $folder"
cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFORESIGHT_PYTHON="$python" \
  -DFORESIGHT_TOGETHER="${FORESIGHT_TOGETHER:-1}" "$@"
say "build: target $target, $jobs at once"
cmake --build "$folder" --target "$target" -j "$jobs"
