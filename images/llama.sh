# shellcheck shell=bash
# What the scripts share that compile llama.cpp or read its source. Sourced behind settings.sh with `root` set, never run.
# $lock: the lines of the lock that name llama-cpp-python, which brings llama.cpp's source.
lock=$(awk '/^[a-z]/ {hit = /^llama-cpp-python==/} hit' "$root/locks/worker.txt")
[ -n "$lock" ] || { echo "locks/worker.txt does not name llama-cpp-python" >&2; exit 1; }

# work_beside FOLDER: an empty folder $w, on the same disk, so that what is done there gets its name by a rename: a copy that is ended would be
# taken for whole. One at a time, by the caller's lock: what a killed run left there goes.
work_beside() {
  w=$1.part
  rm -rf "$w"
  mkdir -p "$w"
  trap 'rm -rf "$w"' EXIT
}

# llama_builders FOLDER: what builds it (CMake, Ninja, the build back-end, pip) as FOLDER/venv, and the lock as FOLDER/lock.txt.
llama_builders() {
  uv_program >&2
  printf '%s\n' "$lock" >"$1/lock.txt"
  uv venv --quiet --python 3.11 "$1/venv" >&2
  uv pip install --quiet --python "$1/venv/bin/python" --no-deps --require-hashes --only-binary :all: -r "$root/locks/build.txt" >&2
}

# llama_source FOLDER: besides, the source package as FOLDER/llama_cpp_python-*.tar.gz. pip asks a source package for its metadata
# before it hands it over, so what builds it must be there too.
llama_source() {
  llama_builders "$1"
  PATH=$1/venv/bin:$PATH "$1/venv/bin/python" -m pip download --quiet --no-deps --no-build-isolation --no-binary llama-cpp-python \
    --require-hashes -r "$1/lock.txt" -d "$1" >&2
}

# llama_tree FOLDER SOURCE: besides, llama.cpp's own source as SOURCE.
llama_tree() {
  mkdir -p "$1" "$2"
  llama_source "$1"
  tar -xzf "$1"/llama_cpp_python-*.tar.gz -C "$2" --strip-components 3 --wildcards '*/vendor/llama.cpp/*'
}

# llama_compiled NAME FOLDER TEXT: makes FOLDER where it is missing, by the script's own `compile WORK`, which finds the source in WORK/src
# and what builds it in WORK/venv, and leaves the libraries in WORK/out. NAME: of the lock; TEXT: what is said of it first.
llama_compiled() {
  if [ -d "$2" ]; then return; fi
  alone "$1"
  if [ -d "$2" ]; then return; fi   # another run made it while we waited
  echo "$3" >&2
  debian g++:g++ >&2
  work_beside "$2"
  llama_tree "$w" "$w/src"
  compile "$w" >&2
  mv "$w/out" "$2"
}
