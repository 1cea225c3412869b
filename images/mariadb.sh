#!/usr/bin/env bash
# mariadb.sh: prints the folder of a MariaDB, the database of the tests of jobs: its usr/sbin/mariadbd, its usr/share/mysql and, in lib/, what
# it links. Taken out of Debian's packages (8 MB) into the cache; nothing is installed and no rights are needed.
set -euo pipefail
cache=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}
folder=$cache/mariadb
packages=(mariadb-server-core libaio1 libnuma1 liburing2 libpcre2-8-0)
if [ ! -x "$folder/usr/sbin/mariadbd" ]; then
  work=$(mktemp -d)
  part=$folder.part.$$
  trap 'rm -rf "$work" "$part"' EXIT
  # World-writable, so that apt's own user may write there when this runs as root.
  chmod 777 "$work"
  if ! (cd "$work" && { apt-get download -qq "${packages[@]}" || { apt-get update -qq && apt-get download -qq "${packages[@]}"; }; } >&2); then
    echo "the tests of jobs need MariaDB, and these Debian packages could not be had: ${packages[*]}" >&2
    exit 1
  fi
  mkdir -p "$part/lib"
  for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
  find "$work/tree" -name '*.so*' -exec cp -P {} "$part/lib/" \;
  mkdir -p "$part/usr/sbin" "$part/usr/share"
  cp "$work/tree/usr/sbin/mariadbd" "$part/usr/sbin/"
  cp -r "$work/tree/usr/share/mysql" "$part/usr/share/"
  # Several tests may do this at the same time: the first one's stays.
  mv -T "$part" "$folder" 2>/dev/null || [ -x "$folder/usr/sbin/mariadbd" ]
fi
echo "$folder"
