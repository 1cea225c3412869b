# shellcheck shell=bash
# Versions, places and the few functions that the scripts of this folder share. Sourced, never run.
# Every version is pinned here and nowhere else; a changed version rebuilds what it names.
export KUBE=1.34.4             # the last minor version that takes cgroup v1 without being told to
KIND=v0.33.0
HELM=v4.3.1
ETCD=v3.6.5
CNI=v1.9.1
LOCAL_PATH=v0.0.30
# kind's own node image of that kind release, for machines with a reachable registry
PUBLIC_NODE_IMAGE=kindest/node:v1.34.11@sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d
PUBLIC_BASE_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
PUBLIC_REDIS_IMAGE=redis:7.2@sha256:0637954999d01b7c9ce9167db2da50656e2590d3b884f1c600c5f63bb6e6773c   # the one that the chart names
SUITE=bookworm                 # Debian 12: its Python is the minor version that the locks are for
NODE_IMAGE=slicewise/node:v$KUBE
BASE_IMAGE=slicewise/base:python3
CLUSTER=${SLICEWISE_CLUSTER:-slicewise}   # a second one beside the first: SLICEWISE_CLUSTER=trial make cluster
VERSION=0.1.0                  # of the images of operator, worker, gateway and jobs
export SUITE KIND HELM ETCD CNI LOCAL_PATH PUBLIC_NODE_IMAGE PUBLIC_BASE_IMAGE PUBLIC_REDIS_IMAGE NODE_IMAGE BASE_IMAGE CLUSTER VERSION

export SLICEWISE_CACHE=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}
bin=$SLICEWISE_CACHE/bin
self=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
logs=$SLICEWISE_CACHE/log
kubeconfig=$SLICEWISE_CACHE/kubeconfig   # of this cluster alone
[ "$CLUSTER" = slicewise ] || kubeconfig+=-$CLUSTER
mkdir -p "$bin" "$logs" "$SLICEWISE_CACHE/images"
export PATH=$bin:$PATH:$SLICEWISE_CACHE/uv/bin
export DOCKER_BUILDKIT=0       # a 28.x client with a 20.10 engine has no buildx, and our builds need none

export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}   # trust what this machine trusts, as behind a mirror with an authority of its own

# step TEXT COMMAND …: runs it, output into a log file, and prints one line with the time it took. Prints the log's end
# and returns the command's status when it failed. COMMAND is a program, or `own FUNCTION …` of the script that steps.
step() {
  local text=$1 log rc=0 start=$SECONDS
  shift
  log=$logs/$(tr -cs 'a-z0-9\n' '-' <<<"${text,,}").log
  printf '%s  %-58s ' "$(date +%T)" "$text"
  "$@" >"$log" 2>&1 </dev/null || rc=$?
  if [ "$rc" = 0 ]; then
    printf '%4d s\n' $((SECONDS - start))
  else
    printf 'failed after %d s; the end of %s:\n' $((SECONDS - start)) "$log"
    tail -n 15 "$log" | sed 's/^/    /'
  fi
  return "$rc"
}

# own FUNCTION …: runs that function in a process of its own, where `set -e` counts; inside of `step … || …` it would not. The
# script ends its functions with `inside "$@"`, which is where that process branches off.
own() { "$self" --inside "$@"; }
inside() { [ "${1:-}" != --inside ] || { shift; "$@"; exit; }; }

# debian PACKAGE:PROGRAM …: installs those whose program, or file by its whole path, is missing; without root, says what to install.
debian() {
  local p need=()
  for p; do command -v "${p#*:}" >/dev/null || [ -x "/usr/sbin/${p#*:}" ] || [[ ${p#*:} = /* && -e ${p#*:} ]] || need+=("${p%%:*}"); done
  [ ${#need[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing; install these packages: ${need[*]}" >&2
    return 1
  fi
  # Another list of packages that is not to be had need not be the one that matters: installing says so.
  again apt-get update -qq || true
  DEBIAN_FRONTEND=noninteractive again apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${need[@]}" >/dev/null
}

# unpacked FOLDER PACKAGE …: Debian's packages, unpacked there; nothing is installed and no rights are needed.
unpacked() {
  local to=$1 work package
  shift
  work=$(mktemp -d)
  chmod 777 "$work"   # so that apt's own user may write there when this runs as root
  if (cd "$work" && { apt-get download -qq "$@" || another_time "$@"; }) >&2; then
    for package in "$work"/*.deb; do dpkg-deb -x "$package" "$to" || { rm -rf "$work"; return 1; }; done
    rm -rf "$work"
  else
    rm -rf "$work"
    return 1
  fi
}
another_time() {  # PACKAGE …: where the lists of packages are missing, or older than what the mirror still has
  again apt-get update -qq || return
  rm -f ./*.deb
  again apt-get download -qq "$@"
}

# again COMMAND …: runs what fetches, up to four times: a connection that breaks off, or another run of apt, costs seconds and not the run.
again() {
  local pause
  for pause in 5 15 30; do
    "$@" && return
    echo "once more in $pause s: $*" >&2
    sleep "$pause"
  done
  "$@"
}

# module PATH@VERSION: prints its folder in Go's cache.
module() {
  again go mod download "$1" >&2
  go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
}

# uv_program: makes sure of uv; where there is none, pip brings the one that locks/build.txt names into a folder of ours (a
# distribution's Python is left alone).
uv_program() {
  command -v uv >/dev/null && return
  (
    flock 8
    command -v uv >/dev/null && exit   # another run brought it meanwhile
    python3 -m pip --version >/dev/null 2>&1 || debian python3-pip:pip3
    part=$SLICEWISE_CACHE/uv.part
    rm -rf "$part"; mkdir -p "$part"
    awk '/^[a-z]/ {hit = /^uv==/} hit' "$(dirname "${BASH_SOURCE[0]}")/../../locks/build.txt" >"$part/lock.txt"
    again python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --target "$part" -r "$part/lock.txt"
    rm -rf "$SLICEWISE_CACHE/uv"; mv "$part" "$SLICEWISE_CACHE/uv"
  ) 8>"$SLICEWISE_CACHE/uv.lock"
}

# registry IMAGE: whether its registry answers for it within five seconds. SLICEWISE_REGISTRY=yes|no says so by hand.
registry() {
  case "${SLICEWISE_REGISTRY:-auto}" in yes) return 0 ;; no) return 1 ;; esac
  timeout 5 docker manifest inspect "$1" >/dev/null 2>&1
}

# alone NAME: waits until no other run holds that name's lock; held until this script ends, and what it started: after a killed
# run the next one waits for what that left running. A daemon must be started without the descriptor (9>&-).
alone() {
  exec 9>"$SLICEWISE_CACHE/$1.lock"
  flock -n 9 || { echo "waiting for another run that holds $SLICEWISE_CACHE/$1.lock" >&2; flock 9; }
}

# inputs FILE-OR-FOLDER …: a hash of their contents and of their names below the folder that each is in.
inputs() {
  local p
  for p; do (cd "$(dirname "$p")" && find "$(basename "$p")" -type f ! -path '*/__pycache__/*' ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum); done |
    sha256sum | cut -c1-16
}

# image_has IMAGE HASH: whether that image is there and was made from inputs of that hash.
image_has() { [ "$(docker image inspect "$1" --format '{{index .Config.Labels "dev.slicewise.inputs"}}' 2>/dev/null)" = "$2" ]; }
