#!/usr/bin/env bash
# Prints a folder with llama.cpp's code for newer processors than the wheel's own is for (libggml-cpu-NAME.so), compiled once from the
# same source as the wheel and kept in $SLICEWISE_CACHE/wheels; nothing on a machine that is not x86-64. A worker takes the best one that
# its processor has the instructions for (slicewise_worker/engine/cpus.py).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
. "$root/images/llama.sh"
# skylakex: AVX-512. cascadelake: with VNNI, Ice Lake too. zen4: with BF16, Sapphire Rapids too. alderlake: AVX2 with VNNI, as processors of
# efficient cores alone have it. Others bring nothing that these have not, but for AMX, whose code is left out (ADR 66).
names="skylakex cascadelake zen4 alderlake"
builders=$(grep -E '^(cmake|ninja)==' "$root/locks/build.txt")
flags="-DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_CPU_ALL_VARIANTS=ON -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release \
-DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF"
folder=$SLICEWISE_CACHE/wheels/cpus-$(printf '%s\n%s\n%s\n%s\n' "$lock" "$builders" "$flags" "$names" | sha256sum | cut -c1-16)

compile() {  # FOLDER, with the source in src/ and what builds it in venv/: the libraries into out/
  export PATH=$1/venv/bin:$PATH
  # shellcheck disable=SC2086 # several flags
  cmake -G Ninja -S "$1/src" -B "$1/build" $flags -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN;\$ORIGIN/.."
  # shellcheck disable=SC2086 # several names
  nice -n 10 cmake --build "$1/build" --parallel "$(nproc)" --target $(printf 'ggml-cpu-%s ' $names)
  mkdir "$1/out"
  cp "$1"/build/bin/libggml-cpu-*.so "$1/out/"
  strip --strip-unneeded "$1"/out/*.so
}

[ "$(uname -m)" = x86_64 ] || exit 0
llama_compiled cpus "$folder" "compiling llama.cpp's code for newer processors: 2 to 3 minutes on two cores, once"
printf '%s\n' "$folder"
