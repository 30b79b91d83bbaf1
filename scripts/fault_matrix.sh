#!/usr/bin/env bash
# Disturbs every file call of a tiny run in turn (kill, full disk, I/O error, short write) and checks that the next
# start loses nothing. Builds what it needs. docs/reliability.md says what is checked.
#
# usage: scripts/fault_matrix.sh [argument of tests/faults/fault_matrix.py ...]
#   --sample N --seed S   a sample of N faults (default: all; half a second each on an idle core)
#   --twice N             runs that are killed twice, besides (default 200)
#   --jobs N              runs at once (default 1)
#   --exec                load the program again for each start, instead of forking it: more than twice the time
#   --only CALL:FAULT     one fault again, as a failure names it
#   --folder FOLDER       where to work (default: a fresh folder for temporary files)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
esac
folder=${FORESIGHT_BUILD:-build}
scripts/build.sh --target foresight_fault_shim
exec "$python" tests/faults/fault_matrix.py --program "$folder/foresight" --shim "$folder/tests/fault_shim.so" --twice 200 "$@"
