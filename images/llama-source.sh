#!/usr/bin/env bash
# Prints a folder with what the tests read of llama-cpp-python's source package, the one that the lock names: the vocabularies
# (ggml-vocab-*.gguf) and the source that names llama.cpp's pre-tokenizers (llama-vocab.cpp). Kept in $SLICEWISE_CACHE/wheels.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
lock=$(awk '/^[a-z]/ {hit = /^llama-cpp-python==/} hit' "$root/locks/worker.txt")
[ -n "$lock" ] || { echo "locks/worker.txt does not name llama-cpp-python" >&2; exit 1; }
folder=$SLICEWISE_CACHE/wheels/source-$(printf '%s\n' "$lock" | sha256sum | cut -c1-16)
if [ ! -d "$folder" ]; then
  alone source
  if [ ! -d "$folder" ]; then   # nobody made it while we waited
    uv_program >&2
    mkdir -p "$SLICEWISE_CACHE/wheels"
    w=$(mktemp -d -p "$SLICEWISE_CACHE/wheels"); trap 'rm -rf "$w"' EXIT
    printf '%s\n' "$lock" >"$w/lock.txt"
    # pip asks a source package for its metadata before it hands it over, so what builds it must be there too.
    uv venv --quiet --python 3.11 "$w/venv" >&2
    uv pip install --quiet --python "$w/venv/bin/python" --no-deps --require-hashes --only-binary :all: -r "$root/locks/build.txt" >&2
    PATH=$w/venv/bin:$PATH "$w/venv/bin/python" -m pip download --quiet --no-deps --no-build-isolation --no-binary llama-cpp-python \
      --require-hashes -r "$w/lock.txt" -d "$w" >&2
    mkdir "$w/out"
    tar -xzf "$w"/llama_cpp_python-*.tar.gz -C "$w/out" --strip-components 4 --wildcards \
      '*/vendor/llama.cpp/models/ggml-vocab-*.gguf' '*/vendor/llama.cpp/src/llama-vocab.cpp'
    mv "$w/out" "$folder"
  fi
fi
printf '%s\n' "$folder"
