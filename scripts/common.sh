# The other scripts source this: it finds the repository and the Python with torch, and prints messages.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The Python whose torch is linked: the one that the user names, relative to the user's folder, else the project's own.
python=${FORESIGHT_PYTHON:-$root/.venv/bin/python}
case $python in
  /*) ;;
  */*) python=$PWD/$python ;;
  *) python=$(command -v "$python" || printf '%s' "$python") ;;
esac
if [[ -n ${FORESIGHT_PYTHON:-} ]]; then export FORESIGHT_PYTHON=$python; fi
cd "$root" || exit 1

say() { printf '==> %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# The comment block below a script's first line is its help.
print_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# environment_state FOLDER STAMP: from which requirements the Python environment in FOLDER was made, by STAMP; "unknown"
# without a stamp, "absent" if there is no working environment.
environment_state() {
  if ! "$1"/bin/python -m pip --version >/dev/null 2>&1; then
    echo absent
    return
  fi
  cat "$2" 2>/dev/null || echo unknown
}
