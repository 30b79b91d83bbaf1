#!/usr/bin/env bash
# Builds the wheel of pyproject.toml, makes it independent of Debian's libraries, checks its tag, installs it into a clean
# environment in a temporary folder and runs the tiny pipeline from there. The wheel that passed is in build-wheel/dist.
# Run scripts/setup.sh before; after scripts/build.sh ccache has most of what is compiled.
#
# usage: scripts/wheel.sh [--no-mpi | --mpi]
#   --no-mpi   leave MPI out (the default): the wheel starts on every machine, and runs one process
#   --mpi      with MPI: the machine needs Open MPI 4 (Debian: openmpi-bin), whose libraries no wheel can bring
#
# environment:
#   FORESIGHT_PYTHON=/path/to/python   the Python whose torch is linked (default .venv/bin/python)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

mpi=OFF
case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  --mpi) mpi=ON ;;
  --no-mpi | "") ;;
  *) fail "unknown option '$1'; see scripts/wheel.sh --help" ;;
esac
dist=build-wheel/dist
here=scripts/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat "$here/constraints.txt" scripts/constraints.txt >"$work/constraints.txt"
quiet=(--disable-pip-version-check --no-input --quiet)

started=$SECONDS
say "wheel: build (MPI $mpi)"
# Names of the compilers as CMake finds them by itself: ccache's results are by name.
export CC=${CC:-cc} CXX=${CXX:-c++}
# Holds the builder's own packages too, which pip fetches into an environment of its own.
export PIP_CONSTRAINT=$work/constraints.txt
"$python" -m pip wheel "${quiet[@]}" --no-deps --wheel-dir "$work/built" --config-settings cmake.define.FORESIGHT_MPI=$mpi .
say "wheel: built in $((SECONDS - started)) s"
# For an engine's environment. A folder of its own, so that the two do not build each other anew.
"$python" -m pip wheel "${quiet[@]}" --no-deps --wheel-dir "$work/small" --config-settings cmake.define.FORESIGHT_PROGRAM=OFF \
  --config-settings build-dir=build-wheel/operators .
contents=$(python3 -m zipfile --list "$work"/small/*.whl)
[[ $contents == *foresight_kv/libforesight_ops.so* && $contents != *foresight_kv/bin/* ]] ||
  fail "the wheel without the program holds: $contents"

"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install "${quiet[@]}" -r "$here/requirements-wheel.txt"
# What the environment brings, and what belongs to the machine: torch with CUDA's libraries, and MPI.
brought=()
for library in 'libtorch*' 'libc10*' 'libgomp*' 'libcudart*' 'libnccl*' 'libmpi*' 'libopen-*'; do
  brought+=(--exclude "$library")
done
say "wheel: tag and libraries"
PATH=$work/tools/bin:$PATH auditwheel show "$work"/built/*.whl
mkdir -p "$dist"
rm -f "$dist"/*.whl
# Torch's kernels choose by the processor; the flags that auditwheel reads off the libraries are no requirement.
PATH=$work/tools/bin:$PATH auditwheel repair --disable-isa-ext-check --strip --wheel-dir "$dist" "${brought[@]}" "$work"/built/*.whl
wheel=$(ls "$dist"/*.whl)
[[ $wheel == *-py3-none-manylinux_2_*_x86_64.whl ]] || fail "$wheel has no manylinux tag"
say "wheel: $wheel, $(($(stat -c %s "$wheel") / 1000000)) MB, with these libraries in it:"
python3 -m zipfile --list "$wheel" | sed -n 's|^foresight_kv\.libs/\(\S\S*\) .*|    \1|p'

say "wheel: a clean environment"
"$python" -m venv "$work/clean"
clean=$("$work/clean/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
# torch need not be fetched again: a path file shows the project's packages, whose files pip leaves alone as they lie outside of the
# environment. torch and CUDA's libraries are linked to where pip would put them, as the program looks for them there.
"$python" -c 'import sys, os; print(*[p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages")], sep="\n")' \
  >"$clean/project.pth"
packages=$("$python" -c 'import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec("torch").origin).parents[1])')
for folder in torch nvidia; do
  if [[ -d $packages/$folder ]]; then ln -s "$packages/$folder" "$clean/$folder"; fi
done
pip=("$work/clean/bin/python" -m pip install "${quiet[@]}")
"${pip[@]}" "$wheel"
"${pip[@]}" -r "$here/requirements.txt"
"${pip[@]}" --no-deps -r "$here/requirements-no-deps.txt"
say "wheel: the tiny pipeline from $work/clean"
env -u FORESIGHT_OPS -u LD_LIBRARY_PATH -u PYTHONPATH PATH="$work/clean/bin:/usr/bin:/bin" \
  "$work/clean/bin/python" tests/install/test_wheel.py
say "wheel: $wheel passed, $((SECONDS - started)) s"
