#!/usr/bin/env bash
# Packs what scripts/gpu_check.sh --archive needs on a machine with a GPU and torch, but without this project's libraries:
# the binaries of a build with CUDA, and the libraries that they link beside torch's and CUDA's own.
#
# usage: scripts/gpu_pack.sh ARCHIVE.tar.gz
#
# environment:
#   FORESIGHT_BUILD=folder   where the program was built (default build)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
  -h | --help) print_help; exit 0 ;;
  '') fail "name the archive; see scripts/gpu_pack.sh --help" ;;
esac
archive=$(realpath -m "$1")
folder=${FORESIGHT_BUILD:-build}
binaries=("$folder/foresight" "$folder/tests/test_gpu" "$folder/bench/foresight_bench")
for binary in "${binaries[@]}"; do [[ -x $binary ]] || fail "$binary is not there: run scripts/build.sh first"; done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/lib"
cp "${binaries[@]}" "$work/bin"
if [[ -e $folder/tests/launch_profile.so ]]; then cp "$folder/tests/launch_profile.so" "$work/bin"; fi
strip "$work"/bin/foresight "$work"/bin/test_gpu "$work"/bin/foresight_bench
# The machine's own C and C++ libraries are newer than those here, or the binaries would not start.
own='/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|ld-linux[^/]*)\.so|libcudart|libcudnn|libnccl|/torch/|/nvidia/'
ldd "$work"/bin/foresight "$work"/bin/test_gpu "$work"/bin/foresight_bench | awk '/=> \//{print $1, $3}' | sort -u | grep -vE "$own" |
  while read -r name path; do cp -L "$path" "$work/lib/$name"; done
tar -C "$work" -czf "$archive" .
say "packed $(find "$work/lib" -type f | wc -l) libraries and $(find "$work/bin" -type f | wc -l) binaries into $archive ($(du -h "$archive" | cut -f1))"
