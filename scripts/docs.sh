#!/usr/bin/env bash
# Builds the documentation site in build-docs/site from README.md, docs/ and the other pages, and checks it: mkdocs
# runs strictly, so a broken link, a missing heading or a page outside the navigation is an error. Installs
# mkdocs-material into .venv-docs if it is missing; afterwards no network is used.
#
# usage: scripts/docs.sh [--serve]
#   --serve   then serve the site on http://localhost:8000 until Ctrl-C
#
# docs/configuration.md is generated: build/foresight config docs > docs/configuration.md
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

serve=false
case ${1:-} in
  --serve) serve=true ;;
  -h | --help) print_help; exit 0 ;;
  "") ;;
  *) fail "unknown option '$1'; see scripts/docs.sh --help" ;;
esac

environment=.venv-docs
requirements=(-r scripts/site/requirements.txt -c scripts/site/constraints.txt)
# The stamp holds the digest of the requirements once all of them are installed.
stamp=$environment/foresight-requirements
digest=$(cat scripts/site/requirements.txt scripts/site/constraints.txt | sha256sum | cut -d' ' -f1)
if ! "$environment"/bin/python -m mkdocs --version >/dev/null 2>&1 || [[ $(cat "$stamp" 2>/dev/null) != "$digest" ]]; then
  [[ -x $python ]] || fail "$python is not executable: run scripts/setup.sh first, or set FORESIGHT_PYTHON to a Python 3.11 or newer"
  say "docs: installing mkdocs-material into $environment (some 30 MB to fetch the first time)"
  rm -rf "$environment"
  "$python" -m venv "$environment" ||
    fail "$python cannot make an environment (its message is above); install its venv module (Debian: python3-venv)"
  "$environment"/bin/python -m pip --disable-pip-version-check --no-input --quiet install "${requirements[@]}" </dev/null ||
    fail "pip could not install mkdocs-material (its message is above); run again when that is fixed"
  echo "$digest" >"$stamp"
fi

mkdir -p build-docs
"$environment"/bin/python scripts/site/stage.py build-docs/pages
# Material for MkDocs prints an advertisement for another program without this.
NO_MKDOCS_2_WARNING=1 "$environment"/bin/python -m mkdocs build --strict --quiet --config-file scripts/site/mkdocs.yml ||
  fail "the site has faults, which are listed above"
say "docs: build-docs/site/index.html"
if $serve; then
  say "docs: http://localhost:8000 (Ctrl-C ends)"
  exec "$environment"/bin/python -m http.server 8000 --bind localhost --directory build-docs/site
fi
