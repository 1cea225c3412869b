#!/usr/bin/env bash
# Prints a folder with llama.cpp's loadable backends for GPUs (libggml-vulkan.so), compiled once from the same source as the wheel
# and kept in $SLICEWISE_CACHE/wheels; nothing, and why, on a machine that cannot have what compiles them. Vulkan's headers and the compiler of its shaders are Debian 13's, by the hashes of
# locks/vulkan.txt: Debian 12's headers are too old, and its compiler knows no cooperative matrices. They are unpacked beside;
# nothing of them is installed.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
. "$root/images/llama.sh"
builders=$(grep -E '^(cmake|ninja)==' "$root/locks/build.txt")
# With GGML_BACKEND_DL a backend is a file that any build of the same version loads, also one that has its code for the CPU built in.
flags="-DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_VULKAN=ON -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release \
-DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF"
folder=$SLICEWISE_CACHE/wheels/backends-$(printf '%s\n%s\n%s\n%s\n' "$lock" "$builders" "$flags" "$(uname -m)" |
  cat - "$root/locks/vulkan.txt" | sha256sum | cut -c1-16)

shader_tools() {  # FOLDER: Debian 13's packages, unpacked there; `glslc` runs with the libraries that it was linked with
  debian mmdebstrap:mmdebstrap
  # shellcheck disable=SC2016 # $1 is the new root, expanded by the hook's shell
  LOCK=$root/locks/vulkan.txt mmdebstrap --quiet --variant=extract --include=libvulkan-dev,spirv-headers,glslc \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --extract-hook='cd "$1/var/cache/apt/archives" && sha256sum --quiet --check "$LOCK"' trixie "$1/debian.tar"
  mkdir "$1/debian"
  tar -xf "$1/debian.tar" -C "$1/debian" ./usr
  # shellcheck disable=SC2016 # of the script that is written
  printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$1/debian/usr/lib64/ld-linux-x86-64.so.2" \
    "$1/debian/usr/lib/x86_64-linux-gnu" "$1/debian/usr/bin/glslc" >"$1/glslc"
  chmod +x "$1/glslc"
}

compile() {  # FOLDER, with the source in src/ and what builds it in venv/: the libraries into out/
  local usr=$1/debian/usr
  shader_tools "$1"
  export PATH=$1/venv/bin:$PATH
  # shellcheck disable=SC2086 # several flags
  cmake -G Ninja -S "$1/src" -B "$1/build" $flags -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN;\$ORIGIN/.." \
    "-DVulkan_INCLUDE_DIR=$usr/include" "-DVulkan_LIBRARY=$usr/lib/x86_64-linux-gnu/libvulkan.so" \
    "-DVulkan_GLSLC_EXECUTABLE=$1/glslc" "-DSPIRV-Headers_DIR=$usr/share/cmake/SPIRV-Headers"
  cmake --build "$1/build" --parallel "$(nproc)" --target ggml-vulkan
  mkdir "$1/out"
  cp "$1/build/bin/libggml-vulkan.so" "$1/out/"
  strip --strip-unneeded "$1"/out/*.so
}

to_be_had() {  # whether the packages of the lock can be unpacked here
  [ "$(uname -m)" = x86_64 ] || { echo "no GPU backend of llama.cpp: locks/vulkan.txt is for x86-64" >&2; return 1; }
  command -v mmdebstrap >/dev/null || { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
    { echo "no GPU backend of llama.cpp: what compiles it comes by mmdebstrap, which is not installed" >&2; return 1; }
}

[ -d "$folder" ] || to_be_had || exit 0
llama_compiled backends "$folder" "compiling llama.cpp's Vulkan backend: 5 to 10 minutes on two cores, once"
printf '%s\n' "$folder"
