#!/usr/bin/env bash
# Prints a folder with llama.cpp's loadable backend for CUDA (libggml-cuda.so) and the libraries of CUDA that it needs (cudart, cublas,
# cublasLt; the driver's libcuda.so.1 comes with the node). Compiled from the same source as the wheel by NVIDIA's compiler out of
# PyPI's wheels, by the hashes of locks/cuda.txt, so it needs neither a GPU nor a base image with CUDA. Compiling takes hours on two
# cores. Where it was ended, the next run goes on: what is compiled stays in $SLICEWISE_CACHE/wheels/cuda-*.building until all is there.
#   CUDA_ARCHITECTURES  what it is compiled for, as in CMake; the default is GPUs that can be sliced (MIG): A100, H100, B200, RTX PRO 6000
#   CUDA_JOBS           files compiled at the same time; each takes up to 2 GB of memory
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
. "$root/images/llama.sh"
architectures=${CUDA_ARCHITECTURES:-80-real;90-real;100-real;120-real}
builders=$(grep -E '^(cmake|ninja)==' "$root/locks/build.txt")
# Without GGML_CUDA_NO_VMM the file names libcuda.so.1 itself, which is not there where it is compiled, nor on a node without a driver.
flags="-DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF -DGGML_CUDA=ON -DGGML_CUDA_NO_VMM=ON -DGGML_CUDA_NCCL=OFF -DGGML_CCACHE=OFF -DBUILD_SHARED_LIBS=ON \
-DCMAKE_BUILD_TYPE=Release -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF"
folder=$SLICEWISE_CACHE/wheels/cuda-$(printf '%s\n%s\n%s\n%s\n%s\n' "$lock" "$builders" "$flags" "$architectures" "$(uname -m)" |
  cat - "$root/locks/cuda.txt" | sha256sum | cut -c1-16)

prepare() {  # FOLDER: source, compiler and what builds it, each of them whole or not there
  [ -d "$1/src" ] || {
    rm -rf "$1/fetched" "$1/src.part"
    llama_tree "$1/fetched" "$1/src.part"
    mv "$1/src.part" "$1/src"
  }
  [ -d "$1/toolkit" ] || {
    rm -rf "$1/toolkit.part"
    uv pip install --quiet --python "$1/fetched/venv/bin/python" --no-deps --require-hashes --only-binary :all: \
      --target "$1/toolkit.part" -r "$root/locks/cuda.txt"
    # The compiler looks for libraries in lib64/, and the linker for their short names; the wheels have neither.
    ln -s lib "$1/toolkit.part/nvidia/cu13/lib64"
    local library
    for library in cudart cublas cublasLt; do
      ln -s "$(basename "$(echo "$1/toolkit.part/nvidia/cu13/lib/lib$library".so.*)")" "$1/toolkit.part/nvidia/cu13/lib/lib$library.so"
    done
    mv "$1/toolkit.part" "$1/toolkit"
  }
}

compile() {  # FOLDER, prepared: the libraries into out/
  local cuda=$1/toolkit/nvidia/cu13
  export PATH=$1/fetched/venv/bin:$cuda/bin:$PATH
  # shellcheck disable=SC2086 # several flags
  cmake -G Ninja -S "$1/src" -B "$1/build" $flags -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN;\$ORIGIN/.." \
    "-DCUDAToolkit_ROOT=$cuda" "-DCMAKE_CUDA_COMPILER=$cuda/bin/nvcc" "-DCMAKE_CUDA_ARCHITECTURES=$architectures"
  cmake --build "$1/build" --parallel "${CUDA_JOBS:-$(nproc)}" --target ggml-cuda
  rm -rf "$1/out"; mkdir "$1/out"
  cp "$1/build/bin/libggml-cuda.so" "$1/out/"
  strip --strip-unneeded "$1/out/libggml-cuda.so"
  cp -L "$cuda"/lib/lib{cudart,cublas,cublasLt}.so.[0-9]* "$1/out/"
}

if [ ! -d "$folder" ]; then
  [ "$(uname -m)" = x86_64 ] || { echo "no CUDA backend: it is compiled for x86-64 alone" >&2; exit 1; }
  alone cuda
  if [ ! -d "$folder" ]; then   # no other run made it meanwhile
    echo "compiling llama.cpp's CUDA backend for $architectures: hours on two cores, once; ended, it goes on at the next run" >&2
    debian g++:g++ >&2
    mkdir -p "$folder.building"
    prepare "$folder.building" >&2
    compile "$folder.building" >&2
    times >"$folder.building/times"   # in a pipeline it would count a shell of its own
    # shellcheck disable=SC2016 # of awk
    awk 'NR == 2 {split($1, u, "m"); split($2, s, "m"); printf "compiled, in %d minutes of processor time of this run\n", u[1] + s[1]}' "$folder.building/times" >&2
    mv "$folder.building/out" "$folder"
    rm -rf "$folder.building"
  fi
fi
printf '%s\n' "$folder"
