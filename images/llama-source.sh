#!/usr/bin/env bash
# Prints a folder with what the tests read of llama-cpp-python's source package, the one that the lock names: the vocabularies
# (ggml-vocab-*.gguf) and the source that names llama.cpp's pre-tokenizers (llama-vocab.cpp). Kept in $SLICEWISE_CACHE/wheels.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
. "$root/images/llama.sh"
folder=$SLICEWISE_CACHE/wheels/source-$(printf '%s\n' "$lock" | sha256sum | cut -c1-16)
if [ ! -d "$folder" ]; then
  alone source
  if [ ! -d "$folder" ]; then   # nobody made it while we waited
    work_beside "$folder"
    llama_source "$w"
    mkdir "$w/out"
    tar -xzf "$w"/llama_cpp_python-*.tar.gz -C "$w/out" --strip-components 4 --wildcards \
      '*/vendor/llama.cpp/models/ggml-vocab-*.gguf' '*/vendor/llama.cpp/src/llama-vocab.cpp'
    mv "$w/out" "$folder"
  fi
fi
printf '%s\n' "$folder"
