#!/usr/bin/env bash
# The kind node image $NODE_IMAGE from Debian packages, kind's own node files (copied out of its Go module) and the programs of build.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/settings.sh"
hash=$( { echo "$KUBE $KIND $ETCD $CNI $LOCAL_PATH $SUITE"; inputs "$0" "$here/oci.py" "$here/go/coredns" "$here/go/pause"; } | sha256sum | cut -c1-16)
image_has "$NODE_IMAGE" "$hash" && { echo "$NODE_IMAGE is there"; exit 0; }

import() {  # a new engine, or one with an emptied data folder, takes the tree that was built before
  docker import "$1" slicewise/node-root >/dev/null
  # `docker import -c` takes no STOPSIGNAL, and systemd stops on that one only.
  printf 'FROM slicewise/node-root\nENV container=docker\nSTOPSIGNAL SIGRTMIN+3\nENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]\n' |
    docker build -q -t "$NODE_IMAGE" --label "dev.slicewise.inputs=$hash" - >/dev/null
  docker image inspect "$NODE_IMAGE" --format '{{.Size}}' | awk -v t="$NODE_IMAGE" '{printf "%s: %.0f MB\n", t, $1/1e6}'
}

root=$SLICEWISE_CACHE/images/node-$hash.tar
if [ -f "$root" ]; then import "$root"; exit 0; fi
rm -rf "$SLICEWISE_CACHE"/images/node-* "$SLICEWISE_CACHE"/images/work.*   # of other versions, and what an interrupted run left
debian mmdebstrap:mmdebstrap jq:jq busybox-static:busybox containerd:ctr
kind=$(go mod download -json "sigs.k8s.io/kind@$KIND" | python3 -c 'import json,sys; print(json.load(sys.stdin)["Dir"])')
w=$(mktemp -d "$SLICEWISE_CACHE/images/work.XXXXXX"); trap 'rm -rf "$w"' EXIT; o=$w/overlay; mkdir -p "$o"

# 1 · kind's files: entrypoint, units, containerd configuration
cp -r "$kind/images/base/files/." "$o/"; chmod -R u+w "$o"; rm -rf "$o/LICENSES"
chmod 755 "$o"/usr/local/bin/* "$o"/kind/bin/*
sed -i -e 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$o/etc/containerd/config.toml"
ctr oci spec | jq 'del(.process.rlimits) | .hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}]' >"$o/etc/containerd/cri-base.json"

# kubelet and containerd of four nodes share the machine's cores: less CPU time for their garbage collectors (as in oci.py),
# and no threads that wake each other, a quarter of what they take.
mkdir -p "$o/etc/systemd/system.conf.d"; printf '[Manager]\nDefaultEnvironment=GOGC=400 GOMAXPROCS=1\n' >"$o/etc/systemd/system.conf.d/gogc.conf"

# 2 · programs
mkdir -p "$o/usr/bin" "$o/opt/cni/bin" "$o/kind/images" "$o/kind/manifests" "$o/etc/kubernetes/manifests"
install -m755 "$bin"/{kubeadm,kubelet,kubectl} "$o/usr/bin/"
install -m755 "$bin"/{ptp,loopback,host-local,portmap} "$o/opt/cni/bin/"
printf 'v%s' "$KUBE" >"$o/kind/version"

# 3 · images, imported on first boot before the kubelet starts: those of every node, and those of the control plane
pause=$(sed -n 's/.*sandbox_image = "\(.*\)"/\1/p' "$o/etc/containerd/config.toml")
list=$("$bin/kubeadm" config images list --kubernetes-version "v$KUBE" 2>/dev/null)
ref() { grep "/$1:" <<<"$list"; }
one() { echo "$1=$bin/$2:/usr/local/bin/$2;entry=/usr/local/bin/$2"; }
go=$kind/pkg/build/nodeimage/const_storage.go   # kind's own storage manifest and the names of its images
sc() { sed -n "s/^const $1 = \"\(.*\)\"/\1/p" "$go"; }
python3 - "$go" "$(sc storageProvisionerImage)" "$(sc storageHelperImage)" >"$o/kind/manifests/default-storage.yaml" <<'PY'
import re, sys
text = re.search(r"const defaultStorageManifest = `(.*)\n`", open(sys.argv[1]).read(), re.S).group(1)
print(text.replace("` + storageProvisionerImage + `", sys.argv[2]).replace("` + storageHelperImage + `", sys.argv[3]))
PY
bb=/bin/busybox:/bin/busybox; for a in sh mkdir rm chmod cat sleep ls wget nslookup nc; do bb+=,@busybox:/bin/$a; done
# netbase: without /etc/protocols nft lists "tcp" as 6, and kube-proxy's hourly look at its own rules then deletes every Service.
mmdebstrap --quiet --variant=extract --include=nftables,netbase --dpkgopt='path-exclude=/usr/share/*' "$SUITE" "$w/nft.tar"
python3 "$here/oci.py" "$o/kind/images/all.tar" "$(one "$pause" pause)" "$(ref kube-proxy)=+$w/nft.tar:/,$bin/kube-proxy:/usr/local/bin/kube-proxy;entry=/usr/local/bin/kube-proxy" "$(one "$(grep coredns <<<"$list")" coredns)" \
  "$(one "$(sc storageProvisionerImage)" local-path-provisioner)" "$(sc storageHelperImage)=$bb"
python3 "$here/oci.py" "$o/kind/images/control-plane.tar" "$(one "$(ref etcd)" etcd)" "$(one "$(ref kube-apiserver)" kube-apiserver)" \
  "$(one "$(ref kube-controller-manager)" kube-controller-manager)" "$(one "$(ref kube-scheduler)" kube-scheduler)"
cat >"$o/etc/systemd/system/load-images.service" <<'U'
[Unit]
Description=Imports the images that the node was built with
After=containerd.service
Requires=containerd.service
Before=kubelet.service
ConditionPathExists=!/var/lib/containerd/.loaded

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/kind/bin/load-images.sh

[Install]
WantedBy=multi-user.target
U
cat >"$o/kind/bin/load-images.sh" <<'U'
#!/bin/sh
set -e
sets=all; case "$(hostname)" in *control-plane*) sets="all control-plane" ;; esac
for s in $sets; do ctr -n k8s.io images import --no-unpack /kind/images/$s.tar 2>/dev/null || ctr -n k8s.io images import /kind/images/$s.tar; done
touch /var/lib/containerd/.loaded
U
chmod 755 "$o/kind/bin/load-images.sh"

# 4 · Debian
tar -C "$o" -cf "$w/overlay.tar" --owner=0 --group=0 .
# shellcheck disable=SC2016 # $1 is the new root, expanded by the hook's shell
mmdebstrap --quiet --variant=minbase --include=systemd,dbus,conntrack,iptables,nftables,iproute2,ethtool,kmod,mount,util-linux,procps,jq,ca-certificates,containerd,runc,libseccomp2,e2fsprogs \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="tar -C \"\$1\" -xf $w/overlay.tar --no-same-owner --keep-directory-symlink" \
  --customize-hook='chroot "$1" sh -ec "
    find /lib/systemd/system/sysinit.target.wants/ -name systemd-tmpfiles-setup.service -delete
    rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* /lib/systemd/system/local-fs.target.wants/*
    rm -f /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl* /lib/systemd/system/basic.target.wants/*
    rm -f /lib/systemd/system/containerd.service; echo ReadKMsg=no >>/etc/systemd/journald.conf
    ln -sf /usr/lib/systemd/systemd /sbin/init; ln -sf /usr/bin/containerd /usr/local/bin/containerd; ln -sf /usr/bin/ctr /usr/local/bin/ctr
    systemctl enable kubelet containerd undo-mount-hacks load-images; systemctl mask systemd-binfmt.service
    rm -rf /var/cache/apt/* /var/lib/apt/lists/*"' \
  "$SUITE" "$w/root.tar"
mv "$w/root.tar" "$root"
import "$root"
