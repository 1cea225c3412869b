#!/usr/bin/env bash
# mariadb.sh: prints the folder of a MariaDB, the database of the tests of jobs: its usr/sbin/mariadbd, its usr/share/mysql and, in lib/, what
# it links. Taken out of Debian's packages (8 MB) into the cache; nothing is installed and no rights are needed.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/e2e/cluster/settings.sh"
folder=$SLICEWISE_CACHE/mariadb
packages=(mariadb-server-core libaio1 libnuma1 liburing2 libpcre2-8-0)

make_folder() {
  part=$folder.part
  trap 'rm -rf "$part"' EXIT
  rm -rf "$part"
  mkdir -p "$part"/{lib,tree,usr/sbin,usr/share}
  unpacked "$part/tree" "${packages[@]}" ||
    { echo "the tests of jobs need MariaDB, and these Debian packages could not be had: ${packages[*]}" >&2; exit 1; }
  find "$part/tree" -name '*.so*' -exec cp -P {} "$part/lib/" \;
  cp "$part/tree/usr/sbin/mariadbd" "$part/usr/sbin/"
  cp -r "$part/tree/usr/share/mysql" "$part/usr/share/"
  rm -rf "$part/tree" "$folder"
  mv -T "$part" "$folder"
}

if [ ! -x "$folder/usr/sbin/mariadbd" ]; then
  alone mariadb-packages
  [ -x "$folder/usr/sbin/mariadbd" ] || make_folder   # else: another test made it while this one waited
fi
echo "$folder"
