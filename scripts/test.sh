#!/usr/bin/env bash
# Sets up, builds, lints, runs all tests, those of the Python package, the commands of the documents, the unit tests
# under sanitizers and a sample of fuzz inputs, builds the documentation site and opens it in a browser; prints the time
# of each part. The wheel has a script of its own (scripts/wheel.sh), which scripts/nightly.sh runs.
#
# usage: scripts/test.sh [--no-lint] [--no-python] [--no-site] [--no-fuzz] [--no-sanitize] [ctest argument ...]
#   --no-lint       leave out scripts/lint.sh
#   --no-python     leave out scripts/python/test.sh and tests/docs/test_documents.py, which uses its environment
#   --no-site       leave out scripts/docs.sh and tests/docs/test_site.py
#   --no-fuzz       leave out scripts/fuzz.sh
#   --no-sanitize   leave out scripts/sanitize.sh
#   other arguments go to ctest, for example -L unit (only unit tests) or -R scorer (only that folder)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

lint=true python_part=true site=true fuzz=true sanitize=true
while true; do
  case ${1:-} in
    -h | --help) print_help; exit 0 ;;
    --no-lint) lint=false; shift ;;
    --no-python) python_part=false; shift ;;
    --no-site) site=false; shift ;;
    --no-fuzz) fuzz=false; shift ;;
    --no-sanitize) sanitize=false; shift ;;
    *) break ;;
  esac
done

timings=()
# part NAME COMMAND...: runs the command; its time is printed now and once more at the end.
part() {
  local name=$1 started=$SECONDS
  shift
  "$@"
  timings+=("$(printf '%-8s %5d s' "$name" $((SECONDS - started)))")
  say "${timings[-1]}"
}

setup_options=(--model --browser)
if $lint; then setup_options+=(--lint); fi
if $fuzz; then setup_options+=(--fuzz); fi
part setup scripts/setup.sh "${setup_options[@]}"
part build scripts/build.sh
if $lint; then part lint scripts/lint.sh; fi
# One test at a time: a test may use every core itself.
part test ctest --test-dir "${FORESIGHT_BUILD:-build}" --output-on-failure -j1 --no-tests=error "$@"
if $python_part; then
  part python scripts/python/test.sh
  part docs "$python" tests/docs/test_documents.py --program "${FORESIGHT_BUILD:-build}/foresight"
fi
if $site; then
  part site scripts/docs.sh
  part browser "$python" tests/docs/test_site.py
fi
if $sanitize; then part sanitize scripts/sanitize.sh; fi
if $fuzz; then part fuzz scripts/fuzz.sh; fi
say "all parts passed:"
printf '    %s\n' "${timings[@]}"
