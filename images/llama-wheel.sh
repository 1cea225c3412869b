#!/usr/bin/env bash
# Prints the path of llama-cpp-python's wheel, compiled once from the source package that the lock names and kept in
# $SLICEWISE_CACHE/wheels: the virtual environment and the worker's image take the same one. There is no published wheel, and
# uv would compile it again for each hash-checked install. The flags come from pyproject.toml, which says why; what builds it
# (CMake, Ninja, the build back-end, pip) comes from locks/build.txt, hash by hash, and nothing is fetched besides.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
lock=$(awk '/^[a-z]/ {hit = /^llama-cpp-python==/} hit' "$root/locks/worker.txt")
[ -n "$lock" ] || { echo "locks/worker.txt does not name llama-cpp-python" >&2; exit 1; }
# TOML's `{ CMAKE_ARGS = "…" }` by a parser; the build's own parallelism changes no wheel and stays out of the key.
flags=$(python3 -c 'import sys, tomllib
print(tomllib.load(open(sys.argv[1], "rb"))["tool"]["uv"]["extra-build-variables"]["llama-cpp-python"]["CMAKE_ARGS"])' "$root/pyproject.toml")
# Of locks/build.txt what compiles: another version of what builds our own packages is no reason to compile llama.cpp anew.
builders=$(grep -E '^(cmake|ninja|scikit-build-core)==' "$root/locks/build.txt")
folder=$SLICEWISE_CACHE/wheels/$(printf '%s\n%s\n%s\n%s\n' "$lock" "$flags" "$builders" "$(uname -m)" | sha256sum | cut -c1-16)
wheel() { find "$folder" -name 'llama_cpp_python-*.whl' 2>/dev/null | head -n 1; }
if [ -z "$(wheel)" ]; then
  alone wheel
  if [ -z "$(wheel)" ]; then   # nobody made it while we waited
    echo "compiling llama.cpp: 4 to 10 minutes on two cores, once" >&2
    debian g++:g++ >&2
    uv_program >&2
    w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
    printf '%s\n' "$lock" >"$w/lock.txt"
    uv venv --quiet --python 3.11 "$w/venv" >&2
    uv pip install --quiet --python "$w/venv/bin/python" --no-deps --require-hashes --only-binary :all: -r "$root/locks/build.txt" >&2
    PATH=$w/venv/bin:$PATH CMAKE_ARGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) nice -n 10 \
      "$w/venv/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --require-hashes -r "$w/lock.txt" -w "$w/out" >&2
    mkdir -p "$folder"
    mv "$w"/out/*.whl "$folder/"
  fi
fi
wheel
