#!/usr/bin/env bash
# Times the authors' released code and this project in one run on one machine, and prints the ratios. Needs scripts/setup.sh,
# scripts/build.sh and a clone of the released code; this repository holds nothing of that code.
#
# usage: scripts/compare_reference.sh CLONE [part ...]
#   CLONE   the folder of a clone of the authors' repository (it holds supervised_training/ and reinforcment_learning/)
#   parts   oracle, loss, layer, grpo (default: all). grpo makes .venv-reference with the transformers that their model
#           needs, some 40 MB to fetch the first time
#
# environment:
#   OMP_NUM_THREADS   threads of both sides (default: all cores)
set -euo pipefail
clone=$(realpath -e "${1:-.}" 2>/dev/null || true)
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  "") fail "where is the clone of the authors' code? see scripts/compare_reference.sh --help" ;;
esac
[[ -f $clone/supervised_training/train.py ]] || fail "'$1' is not a clone of the authors' code: it has no supervised_training/train.py"
shift
parts=("$@")
if ((${#parts[@]} == 0)); then parts=(oracle loss layer grpo); fi

folder=${FORESIGHT_BUILD:-build}
[[ -x $folder/bench/foresight_bench ]] || fail "no $folder/bench/foresight_bench: run scripts/build.sh first"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}

if [[ " ${parts[*]} " == *" grpo "* ]] && ! .venv-reference/bin/python -c 'import transformers, torch' 2>/dev/null; then
  say "python: making .venv-reference with the transformers of the authors' model"
  "$python" -m venv --clear .venv-reference
  .venv-reference/bin/python -m pip --disable-pip-version-check --quiet install --no-deps \
    transformers==4.52.4 tokenizers==0.21.4 huggingface-hub==0.36.0 hf-xet==1.1.10
  # torch and the rest are the project's own; what was just installed comes first on the path.
  "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$(echo .venv-reference/lib/python3*/site-packages)/project.pth"
fi
exec "$python" scripts/compare_reference.py "$clone" --build "$folder" --parts "${parts[@]}"
