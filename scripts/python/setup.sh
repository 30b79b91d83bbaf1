#!/usr/bin/env bash
# Makes .venv-python, the Python environment of scripts/python and its tests. It uses torch, transformers and all else
# that the project's own Python has (.venv, or FORESIGHT_PYTHON) and only installs what is missing. You can run it again
# at any time: it uses no network if nothing is missing.
#
# usage: scripts/python/setup.sh [--check]
#   --check   change nothing; report whether the environment is complete (exit 1 if it is not)
#
# environment:
#   FORESIGHT_PYTHON=/path/to/python   use the packages of this Python, which has torch, instead of .venv's
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

check_only=false
case ${1:-} in
  --check) check_only=true ;;
  -h | --help) print_help; exit 0 ;;
  "") ;;
  *) fail "unknown option '$1'; see scripts/python/setup.sh --help" ;;
esac

environment=.venv-python
stamp=$environment/foresight-requirements
here=scripts/python
requirement_files=(pyproject.toml "$here"/requirements.txt "$here"/requirements-no-deps.txt "$here"/constraints.txt scripts/constraints.txt)

# The version of $python and the folders that hold its packages, one per line; empty if it has no torch.
project_packages() {
  "$python" - <<'PYTHON'
import importlib.util, os, sys
if importlib.util.find_spec("torch"):
    print(sys.version)
    print(*[p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages") and os.path.isdir(p)], sep="\n")
PYTHON
}

# The new environment sees the project's packages and this package's sources after its own packages.
write_paths() {
  local packages
  packages=$("$environment"/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
  { printf '%s\n' "$root/$here/src" && sed 1d <<<"$1"; } >"$packages/foresight-project.pth"
}

# The commands that pyproject.toml declares, as pip would write them for a package that it installs. The program is not one of
# them here: it lies in the build folder.
write_commands() {
  local name module function
  sed -n '/^\[project.scripts\]/,/^\[/s/^\([a-z-]*\) = "\(.*\):\(.*\)"$/\1 \2 \3/p' pyproject.toml | grep -v '^foresight ' |
    while read -r name module function; do
      printf '#!%s\nimport sys\n\nfrom %s import %s\n\nsys.exit(%s())\n' \
        "$root/$environment/bin/python" "$module" "$function" "$function" >"$environment/bin/$name"
      chmod +x "$environment/bin/$name"
    done
}

[[ -x $python ]] || fail "$python is not executable: run scripts/setup.sh first, or set FORESIGHT_PYTHON to a Python with torch"
project=$(project_packages) || fail "$python does not run; run scripts/setup.sh, or set FORESIGHT_PYTHON to a Python with torch"
[[ -n $project ]] || fail "$python has no torch: run scripts/setup.sh first, or set FORESIGHT_PYTHON to a Python with torch"

# As in scripts/setup.sh, the stamp holds the digest once everything is installed, and "installing" while pip works.
digest=$({ printf '%s\n' "$project" "$root" && cat "${requirement_files[@]}"; } | sha256sum | cut -d' ' -f1)
state=$(environment_state "$environment" "$stamp")
if [[ $state == "$digest" ]]; then
  say "python package: $environment is up to date"
  exit 0
fi
if $check_only; then
  say "missing: packages in $environment (state: $state); run scripts/python/setup.sh"
  exit 1
fi
# If the stamp does not fit, the Python or the versions may have changed. The environment is small, so it is made again.
rm -f "$environment"/bin/python* # first, so that after a kill the environment counts as absent
say "python package: making $environment with the packages of $python"
"$python" -m venv --clear "$environment" ||
  fail "$python cannot make an environment (its message is above); install its venv module (Debian: python3-venv)"
echo installing >"$stamp"
write_paths "$project"
write_commands
say "python package: installing what is missing of $here/requirements.txt (some 150 MB to fetch the first time)"
pip=("$environment"/bin/python -m pip --disable-pip-version-check --no-input --quiet install)
trap 'exit 130' INT TERM # pip ends by itself on these, and must not look as if it had failed cleanly
if ! { "${pip[@]}" -r "$here"/requirements.txt -c "$here"/constraints.txt -c scripts/constraints.txt </dev/null &&
  "${pip[@]}" --no-deps -r "$here"/requirements-no-deps.txt </dev/null; }; then
  fail "pip could not install the packages (its message is above); run again when that is fixed"
fi
trap - INT TERM
echo "$digest" >"$stamp.partial"
mv "$stamp.partial" "$stamp"
say "python package: $environment is ready"
