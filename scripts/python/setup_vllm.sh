#!/usr/bin/env bash
# Makes an environment with vLLM for the CPU and the foresight_kv plugin in it, for scripts/serving_test.sh and for serving on
# CPUs. vLLM 0.32 asks for a build of torch that PyPI does not have; plain torch of the same version serves. 6 GB, minutes.
# Run again at any time: what is complete is left alone.
#
# usage: scripts/python/setup_vllm.sh [--check]
#   --check   change nothing; report whether the environment is complete (exit 1 if it is not)
#
# environment:
#   FORESIGHT_VLLM=/path/to/environment   where it is made (default .venv-vllm)
#   FORESIGHT_VLLM_PYTHON=python3         the Python that it is made with
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

check_only=false
case ${1:-} in
  --check) check_only=true ;;
  -h | --help) print_help; exit 0 ;;
  "") ;;
  *) fail "unknown option '$1'; see scripts/python/setup_vllm.sh --help" ;;
esac

environment=${FORESIGHT_VLLM:-.venv-vllm}
here=scripts/python
requirements=$here/requirements-vllm.txt
stamp=$environment/foresight-requirements
digest=$({ printf '%s\n' "$root" && cat "$requirements" pyproject.toml; } | sha256sum | cut -d' ' -f1)
state=$(environment_state "$environment" "$stamp")
if [[ $state == "$digest" ]]; then
  say "vLLM: $environment is up to date"
  exit 0
fi
if $check_only; then
  say "missing: packages in $environment (state: $state); run scripts/python/setup_vllm.sh"
  exit 1
fi
if [[ $state == absent ]]; then
  say "vLLM: making $environment"
  "${FORESIGHT_VLLM_PYTHON:-python3}" -m venv --clear "$environment" ||
    fail "no environment could be made (the message is above); install the venv module (Debian: python3-venv)"
fi
echo installing >"$stamp"
say "vLLM: installing $requirements (6 GB)"
pip=("$environment"/bin/python -m pip --disable-pip-version-check --no-input --quiet install)
# --no-deps throughout: the file names every package, as pip's resolver would ask for the torch that PyPI does not have.
"${pip[@]}" --no-deps -r "$requirements" </dev/null ||
  fail "pip could not install the packages (its message is above); run again when that is mended"
# The Python package alone, from its sources; FORESIGHT_OPS names the operators of the build folder.
"${pip[@]}" --no-deps --no-build-isolation --editable . --config-settings wheel.cmake=false </dev/null ||
  fail "pip could not install the Python package into $environment (its message is above)"
echo "$digest" >"$stamp.partial"
mv "$stamp.partial" "$stamp"
say "vLLM: $environment is ready"
