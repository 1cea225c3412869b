#!/usr/bin/env bash
# `make images`: slicewise-operator, slicewise-worker, slicewise-gateway and slicewise-jobs, tagged with the version. Packages come from the locks with their
# hashes and are unpacked outside of the build (a build may have no network); our own package comes from this tree. An image is
# made again only when one of its inputs changed: their hash is its label dev.slicewise.inputs.
#   images/build.sh [operator] [worker] [gateway] [jobs] [worker-cuda]
# worker-cuda is the worker's image with the backend for CUDA as slicewise-worker:VERSION-cuda. Compiling
# that takes hours, so it is built only where it is named.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
cd "$root"   # uv reads pyproject.toml from here

choose_base() {
  if docker image inspect "$PUBLIC_BASE_IMAGE" >/dev/null 2>&1; then base=$PUBLIC_BASE_IMAGE
  elif registry "$PUBLIC_BASE_IMAGE"; then step "base image $PUBLIC_BASE_IMAGE" docker pull "$PUBLIC_BASE_IMAGE"; base=$PUBLIC_BASE_IMAGE
  else step "base image from Debian packages" e2e/cluster/base-image.sh; base=$BASE_IMAGE
  fi
  export base
}

# python STATEMENTS: by the minor version that the locks and the base are for
python() { uv run --quiet --no-project --python 3.11 python "$@"; }

compile() {  # NAME FOLDER INSIDE: bytecode beside the sources, for a file system that is read-only; valid whatever the files' times
  local small=()
  # As its Dockerfile says of the standard library.
  [ "$1" != gateway ] || small=(-OO -X no_debug_ranges)
  python "${small[@]}" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$2" -p "$3" "$2"
}

dependencies() {  # NAME FOLDER: what the lock names, as an unpacked tree, for the oldest Python of a base: Debian's 3.11.2
  local to=$2
  rm -rf "$to.part" "$(dirname "$to")/packages.of" "$to"; mkdir -p "$to.part"
  # diskcache comes with llama-cpp-python, has CVE-2025-69872 and is not loaded (slicewise_worker/engine/binding.py).
  awk '/^[a-z]/ {hit = !/^(llama-cpp-python|diskcache)==/} hit' "locks/$1.txt" >"$to.txt"
  uv pip install --quiet --no-deps --python 3.11 --python-version 3.11.2 --target "$to.part" --only-binary :all: --require-hashes -r "$to.txt"
  if grep -q '^llama-cpp-python==' "locks/$1.txt"; then
    uv pip install --quiet --no-deps --python 3.11 --target "$to.part" "$(images/llama-wheel.sh)"
    # Each library is there under three names, as copies: links save space, and keep one library from being loaded twice
    python - "$to.part/llama_cpp/lib" <<'PY'
import pathlib, sys
for short in sorted(pathlib.Path(sys.argv[1]).glob("*.so*"), key=lambda f: len(f.name)):
    longer = [f for f in short.parent.glob(short.name + ".*") if not f.is_symlink()]
    full = max(longer, key=lambda f: len(f.name), default=None)
    if full and full.read_bytes() == short.read_bytes():
        short.unlink()
        short.symlink_to(full.name)
PY
  fi
  rm -rf "$to.part/bin" "$to.part/.lock"
  compile "$1" "$to.part" /opt/slicewise/packages
  chmod -R a+rX "$to.part"; mv "$to.part" "$to"
}

application() {  # FOLDER-OF-THE-PACKAGE FOLDER: our package, and a program for each of its scripts
  rm -rf "$2"; mkdir -p "$2"
  uv pip install --quiet --no-deps --refresh-package slicewise --refresh-package slicewise-worker --refresh-package slicewise-gateway --refresh-package slicewise-jobs --build-constraints locks/build.txt --python 3.11 --target "$2/app" "./$1"
  rm -rf "$2/app/bin" "$2/app/.lock"
  python - "$1/pyproject.toml" "$2/bin" <<'PY'
import pathlib, sys, tomllib
bin = pathlib.Path(sys.argv[2])
bin.mkdir()
for name, target in tomllib.loads(pathlib.Path(sys.argv[1]).read_text())["project"]["scripts"].items():
    module, _, function = target.partition(":")
    (bin / name).write_text(f"#!/usr/bin/env python3\nimport sys\nfrom {module} import {function}\n\nsys.exit({function}())\n")
    (bin / name).chmod(0o755)
PY
  compile "$1" "$2/app" /opt/slicewise/app
  chmod -R a+rX "$2"
}

image() {  # NAME FOLDER-OF-THE-PACKAGE
  local tag=slicewise-$1:$VERSION context=$root/build/images/$1 hash lock
  lock=$(inputs "locks/$1.txt" locks/build.txt images/build.sh)$([ "$1" != worker ] || basename "$(dirname "$(images/llama-wheel.sh)")")
  hash=$( { echo "$lock $base $(docker image inspect "$base" --format '{{.Id}}')"; inputs "$2/src" "$2/pyproject.toml" "$2/README.md" "$2/Dockerfile"; } | sha256sum | cut -c1-16)
  if image_has "$tag" "$hash"; then echo "$tag is there"; return; fi
  mkdir -p "$context"
  if [ "$(cat "$context/packages.of" 2>/dev/null)" != "$lock" ]; then
    dependencies "$1" "$context/packages"
    echo "$lock" >"$context/packages.of"
  fi
  application "$2" "$context/own"
  cp "$2/Dockerfile" "$context/Dockerfile"
  printf '*\n!packages\n!own\n!Dockerfile\n' >"$context/.dockerignore"
  docker build -q -t "$tag" --build-arg "BASE=$base" --label "dev.slicewise.inputs=$hash" "$context"
  docker image inspect "$tag" --format '{{.Size}}' | awk -v t="$tag" '{printf "%s: %.0f MB\n", t, $1/1e6}'
}

cuda_image() {  # the worker's image, which is there, with the backend for CUDA
  local tag=slicewise-worker:$VERSION-cuda worker=slicewise-worker:$VERSION context=$root/build/images/worker-cuda cuda hash
  cuda=$(images/llama-cuda.sh)
  hash=$( { docker image inspect "$worker" --format '{{.Id}}'; basename "$cuda"; inputs worker-image/cuda.Dockerfile; } | sha256sum | cut -c1-16)
  if image_has "$tag" "$hash"; then echo "$tag is there"; return; fi
  rm -rf "$context"; mkdir -p "$context"
  cp -r "$cuda" "$context/cuda"
  chmod -R a+rX "$context/cuda"
  cp worker-image/cuda.Dockerfile "$context/Dockerfile"
  docker build -q -t "$tag" --build-arg "WORKER=$worker" --label "dev.slicewise.inputs=$hash" "$context"
  docker image inspect "$tag" --format '{{.Size}}' | awk -v t="$tag" '{printf "%s: %.0f MB\n", t, $1/1e6}'
}

inside "$@"
# Before the lock: other images can be built during those hours.
for which; do
  [ "$which" != worker-cuda ] || step "llama.cpp's backend for CUDA (the first time: hours)" images/llama-cuda.sh
done
alone images
uv_program
step "Docker engine" e2e/cluster/start-docker.sh
choose_base
[ $# -gt 0 ] || set -- operator worker gateway jobs
for which; do
  case $which in
    operator) step "image slicewise-operator:$VERSION" own image operator operator ;;
    worker | worker-cuda)
      step "llama.cpp for any x86-64-v3 machine (the first time: 15 minutes)" images/llama-wheel.sh
      step "image slicewise-worker:$VERSION" own image worker worker-image
      [ "$which" = worker ] || step "image slicewise-worker:$VERSION-cuda" own cuda_image ;;
    gateway) step "image slicewise-gateway:$VERSION" own image gateway gateway ;;
    jobs) step "image slicewise-jobs:$VERSION" own image jobs jobs ;;
    *) echo "no image $which: operator, worker, gateway, jobs, worker-cuda" >&2; exit 2 ;;
  esac
done
