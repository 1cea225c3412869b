#!/usr/bin/env bash
# `make tools`: the programs that tests run on this machine, from Go modules. Minutes the first time, nothing later.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
# Mesa has a device for Vulkan in software, and the layer that lets it fail is compiled against Vulkan's headers.
step "Debian packages" debian binutils:objdump gcc:cc libc6-dev:/usr/include/stdio.h libvulkan-dev:/usr/include/vulkan/vk_layer.h \
  "mesa-vulkan-drivers:/usr/share/vulkan/icd.d/lvp_icd.$(uname -m).json"
step "programs from Go modules (the first time: 5 minutes)" "$root/e2e/cluster/build.sh" host
step "Prometheus, for the tests of the alerts" "$root/charts/tools/prometheus.sh" prometheus
step "its promtool" "$root/charts/tools/prometheus.sh" promtool
step "servers for the tests of the weights" "$root/e2e/servers/build.sh"
step "MariaDB, for the tests of jobs" "$root/images/mariadb.sh"
step "clients for the tests of the API" "$root/images/clients.sh"
step "what makes requests from the OpenAPI document" "$root/images/clients.sh" schemathesis
