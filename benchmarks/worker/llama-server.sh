#!/usr/bin/env bash
# Prints the path of llama.cpp's own server, compiled once from the source package that the lock names, and kept in
# $SLICEWISE_CACHE/llama-server. It is linked to the libraries in the folder that is given, which are the worker's: only the
# server is compiled, not llama.cpp again.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/e2e/cluster/settings.sh"
. "$root/images/llama.sh"
libraries=$1
folder=$SLICEWISE_CACHE/llama-server/$(printf '%s\n%s\n' "$lock" "$(uname -m)" | sha256sum | cut -c1-16)
if [ ! -x "$folder/llama-server" ]; then
  alone llama-server
  if [ ! -x "$folder/llama-server" ]; then
    echo "compiling llama-server: 10 minutes on two cores, once" >&2
    work_beside "$folder"
    llama_source "$w"
    tar -xf "$w"/llama_cpp_python-*.tar.gz -C "$w"
    source=$(echo "$w"/llama_cpp_python-*/vendor/llama.cpp)
    python3 - "$source/CMakeLists.txt" <<'PATCH'
import pathlib, sys
path = pathlib.Path(sys.argv[1])
text = path.read_text()
text = text[: text.index("#\n# install\n#")]
text = text.replace("if (NOT TARGET ggml AND", "add_library(ggml INTERFACE)\ntarget_include_directories(ggml INTERFACE ggml/include)\nif (NOT TARGET ggml AND")
text = text.replace("add_subdirectory(src)", """add_library(llama SHARED IMPORTED GLOBAL)
set_target_properties(llama PROPERTIES IMPORTED_LOCATION "${PREBUILT}/libllama.so")
target_include_directories(llama INTERFACE include ggml/include)
file(GLOB _parts "${PREBUILT}/libggml*.so")
target_link_libraries(llama INTERFACE ggml ${_parts})""")
path.write_text(text)
PATCH
    PATH=$w/venv/bin:$PATH cmake -G Ninja -S "$source" -B "$w/build" -DCMAKE_BUILD_TYPE=Release -DPREBUILT="$libraries" -DBUILD_SHARED_LIBS=OFF \
      -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
      -DLLAMA_BUILD_APP=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF >&2
    PATH=$w/venv/bin:$PATH nice -n 10 ninja -C "$w/build" llama-server >&2
    mkdir -p "$folder"
    mv "$w/build/bin/llama-server" "$folder/"
  fi
fi
echo "$folder/llama-server"
