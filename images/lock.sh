#!/usr/bin/env bash
# `make lock`: resolves the pyproject.toml files and writes locks/*.txt: exact versions with the hash of every file. uv.lock,
# which also holds addresses, is made on the way and stays out of the repository.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
cd "$root"
uv_program
uv lock "$@"   # as in: images/lock.sh --upgrade-package kopf
export_lock() { uv export --frozen --quiet --no-emit-workspace --no-header --format requirements-txt "${@:2}" -o "locks/$1.txt" >/dev/null; }
export_lock dev
export_lock build --only-group build
export_lock operator --package slicewise --no-dev
export_lock worker --package slicewise-worker --no-dev
export_lock gateway --package slicewise-gateway --no-dev
export_lock jobs --package slicewise-jobs --no-dev
# NVIDIA's compiler and libraries for llama-cuda.sh. 13.0 is the first of its major version, and PTX of a
# later one needs a later driver.
printf '%s==13.0.*\n' nvidia-cuda-{nvcc,crt,runtime,cccl} nvidia-nvvm | cat - <(echo 'nvidia-cublas>=13,<13.2') |
  uv pip compile --quiet --no-deps --python-version 3.11 --python-platform x86_64-manylinux_2_28 --generate-hashes --no-annotate --no-header - -o locks/cuda.txt >/dev/null
