#!/usr/bin/env bash
# Prints the path of llama-cpp-python's wheel, compiled once from the source package that the lock names and kept in
# $SLICEWISE_CACHE/wheels: the virtual environment and the worker's image take the same one. There is no published wheel, and
# uv would compile it again for each hash-checked install. The flags come from pyproject.toml, which says why; what builds it
# (CMake, Ninja, the build back-end, pip) comes from locks/build.txt, hash by hash, and nothing is fetched besides. What
# llama-backends.sh and llama-cpus.sh compile lies in it as llama_cpp/lib/gpu/ and llama_cpp/lib/cpu/, each with a key of its own: a
# change of one does not compile the others again.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
. "$root/images/llama.sh"
# TOML's `{ CMAKE_ARGS = "…" }` by a parser; the build's own parallelism changes no wheel and stays out of the key.
flags=$(python3 -c 'import sys, tomllib
print(tomllib.load(open(sys.argv[1], "rb"))["tool"]["uv"]["extra-build-variables"]["llama-cpp-python"]["CMAKE_ARGS"])' "$root/pyproject.toml")
# Of locks/build.txt what compiles: another version of what builds our own packages is no reason to compile llama.cpp anew.
builders=$(grep -E '^(cmake|ninja|scikit-build-core)==' "$root/locks/build.txt")
folder=$SLICEWISE_CACHE/wheels/$(printf '%s\n%s\n%s\n%s\n' "$lock" "$flags" "$builders" "$(uname -m)" | sha256sum | cut -c1-16)
wheel() { find "$1" -maxdepth 1 -name 'llama_cpp_python-*.whl' 2>/dev/null | head -n 1; }
if [ -z "$(wheel "$folder")" ]; then
  alone wheel
  if [ -z "$(wheel "$folder")" ]; then   # nobody made it while we waited
    echo "compiling llama.cpp: 4 to 10 minutes on two cores, once" >&2
    debian g++:g++ >&2
    work_beside "$folder"
    llama_builders "$w"
    PATH=$w/venv/bin:$PATH CMAKE_ARGS=$flags CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) nice -n 10 \
      "$w/venv/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --require-hashes -r "$w/lock.txt" -w "$w/out" >&2
    mkdir -p "$folder"
    mv "$w"/out/*.whl "$folder/"
  fi
  exec 9>&-
fi

backends=$("$root/images/llama-backends.sh")
cpus=$("$root/images/llama-cpus.sh")
[ -n "$backends$cpus" ] || { wheel "$folder"; exit; }   # computes on the CPU alone, by what is built in
whole=$folder/$(basename "${backends:-none}")-$(basename "${cpus:-none}")
if [ -z "$(wheel "$whole")" ]; then
  rm -rf "$whole.$$"; mkdir "$whole.$$"
  python3 - "$(wheel "$folder")" "$whole.$$" "gpu=$backends" "cpu=$cpus" <<'PY'
import base64, hashlib, pathlib, sys, zipfile
wheel, folder = map(pathlib.Path, sys.argv[1:3])
record = []
with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(folder / wheel.name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
    def add(item, data):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.append(f"{item.filename},sha256={digest},{len(data)}")
        new.writestr(item, data, zipfile.ZIP_DEFLATED)
    for item in old.infolist():
        if item.filename.endswith(".dist-info/RECORD"):
            last = item
        # The libraries and headers a second time, for C programs.
        elif not item.filename.startswith(("bin/", "include/", "lib/")):
            add(item, old.read(item))
    for kind, _, found in (one.partition("=") for one in sys.argv[3:]):
        for file in sorted(pathlib.Path(found).glob("*.so")) if found else ():
            item = zipfile.ZipInfo(f"llama_cpp/lib/{kind}/{file.name}")
            item.external_attr = 0o100755 << 16
            add(item, file.read_bytes())
    new.writestr(last, "\n".join([*record, f"{last.filename},,", ""]))
PY
  mv -T "$whole.$$" "$whole" 2>/dev/null || rm -rf "$whole.$$"   # another run was first
fi
wheel "$whole"
