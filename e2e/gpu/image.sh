#!/usr/bin/env bash
# slicewise-worker:e2e-vulkan on every node: the worker's image with a driver for Vulkan, as docs/install.md says for GPUs of AMD and
# Intel, and the layer that lets the device fail. Mesa's package has a device in software as well, so no GPU is needed. Repeatable.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cluster/settings.sh"
image=slicewise-worker:e2e-vulkan
worker=slicewise-worker:$VERSION
faults=$here/../../worker-image/tests/gpu/faults.c
drivers=$SLICEWISE_CACHE/images/mesa-$(inputs "$0").tar
hash=$(inputs "$0" "$faults")-$(docker image inspect "$worker" --format '{{.Id}}')
w=$(mktemp -d -p "$SLICEWISE_CACHE/images"); trap 'rm -rf "$w"' EXIT

from_debian() {  # unpacked and not set up: nothing that the packages would run is needed to load the driver
  debian mmdebstrap:mmdebstrap
  rm -f "$SLICEWISE_CACHE"/images/mesa-*
  mmdebstrap --quiet --variant=extract --include=mesa-vulkan-drivers --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$SUITE" "$w/all.tar"
  mkdir "$w/root"
  tar -xf "$w/all.tar" -C "$w/root" ./usr/lib/x86_64-linux-gnu ./usr/share/vulkan ./usr/share/drirc.d
  # The drivers of real GPUs, and what the base has.
  find "$w/root" -name 'libvulkan_*.so' ! -name libvulkan_lvp.so -delete
  rm -rf "$w"/root/usr/lib/x86_64-linux-gnu/{gconv,perl-base,libc.so.6,libm.so.6,libstdc++.so.6*,libgcc_s.so.1,ld-linux-x86-64.so.2}
  tar -cf "$w/drivers.tar" -C "$w/root" usr
  mv "$w/drivers.tar" "$drivers"
}

alone mesa
[ -f "$drivers" ] || from_debian
if ! image_has "$image" "$hash"; then
  mkdir "$w/context"
  tar -xf "$drivers" -C "$w/context"
  # C11 without GNU's extensions: a newer C library has other names for some of them, and the image's lacks those.
  cc -std=c11 -D_POSIX_C_SOURCE=200809L -shared -fPIC -fvisibility=hidden -o "$w/context/libfaults.so" "$faults"
  printf '%s' '{"file_format_version": "1.2.0", "layer": {"name": "VK_LAYER_SLICEWISE_faults", "type": "GLOBAL",
    "library_path": "/opt/faults/libfaults.so", "api_version": "1.3.0", "implementation_version": "1", "description": "faults"}}' >"$w/context/faults.json"
  chmod -R a+rX "$w/context"
  printf 'FROM %s\nCOPY usr /usr\nCOPY libfaults.so faults.json /opt/faults/\n' "$worker" >"$w/context/Dockerfile"
  docker build -q -t "$image" --label "dev.slicewise.inputs=$hash" "$w/context"
fi
exec 9>&-
"$here/../cluster/load.sh" "$image"
