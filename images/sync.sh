#!/usr/bin/env bash
# `make sync`: the virtual environment .venv with what locks/dev.txt names, hash by hash, and our packages as they stand in the
# tree. llama-cpp-python comes from the wheel that is compiled once (llama-wheel.sh), not from uv's own build.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
cd "$root"

packages() {
  # Where a run was ended, a package may be there in half, and uv takes it for installed: from nothing, then. It takes seconds.
  [ -x .venv/bin/python ] && [ -e .venv/.synced ] || uv venv --clear --python 3.11 .venv
  rm -f .venv/.synced
  rest=$(mktemp); trap 'rm -f "$rest"' EXIT
  awk '/^[a-z]/ {hit = !/^llama-cpp-python==/} hit' locks/dev.txt >"$rest"
  uv pip install --python .venv/bin/python --no-deps --only-binary :all: --require-hashes -r "$rest"
  uv pip install --python .venv/bin/python --no-deps "$1"
  uv pip install --python .venv/bin/python --no-deps --build-constraints locks/build.txt --editable operator --editable worker-image --editable gateway --editable jobs --editable cli
  uv pip check --python .venv/bin/python
  touch .venv/.synced
}

inside "$@"
alone sync
uv_program
step "llama.cpp for any x86-64-v3 machine (the first time: 15 minutes)" images/llama-wheel.sh
step "virtual environment .venv" own packages "$(images/llama-wheel.sh)"
