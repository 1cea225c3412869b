#!/usr/bin/env bash
# mysql.sh: prints the folder of a MySQL, for `make test-jobs-mysql`: its usr/sbin/mysqld, its usr/share/mysql and, in lib/, all that it links with
# the loader. Taken with apt's checks of signatures out of the packages of Debian unstable, from where this machine gets Debian (60 MB, which
# apt takes into the cache; nothing is installed and no rights are needed).
#   MYSQL_APT="deb [signed-by=FILE] ADDRESS SUITE main"   other packages
#   MYSQL_PACKAGE=mysql-server-core-8.0                   and the package's name there
set -euo pipefail
cache=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}
package=${MYSQL_PACKAGE:-mysql-server-core}
folder=$cache/$package

debian() {  # the address from which apt gets Debian here
  apt-get indextargets --format '$(SITE)' 'Origin: Debian' | head -n 1
}

fetch() {  # into $work/archives, with all that it links, whatever is installed here
  mkdir -p "$work"/{lists,archives}/partial
  printf '%s\n' "${MYSQL_APT:-deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian) unstable main}" >"$work/sources.list"
  : >"$work/status"
  local apt=(apt-get -qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
    -o "Dir::State::status=$work/status" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" -o Acquire::Languages=none
    -o Debug::NoLocking=true -o "APT::Sandbox::User=$(id -un)")
  "${apt[@]}" update && "${apt[@]}" --yes --no-install-recommends --download-only install "$package"
}

if [ ! -x "$folder/usr/sbin/mysqld" ]; then
  work=$(mktemp -d)
  part=$folder.part.$$
  trap 'rm -rf "$work" "$part"' EXIT
  if ! fetch >&2; then
    echo "the package $package could not be had" >&2
    exit 1
  fi
  for archive in "$work"/archives/*.deb; do dpkg-deb -x "$archive" "$work/tree"; done
  mkdir -p "$part"/{lib,usr/sbin,usr/share,usr/lib/mysql}
  find "$work/tree" ! -type d -name '*.so*' -not -path '*/lib64/*' -not -path '*/plugin/*' -not -path '*/perl*' -exec cp -P {} "$part/lib/" \;
  cp "$work/tree/usr/sbin/mysqld" "$part/usr/sbin/"
  cp -r "$work/tree/usr/share/mysql" "$part/usr/share/"
  cp -r "$work/tree/usr/lib/mysql/plugin" "$part/usr/lib/mysql/"
  mv -T "$part" "$folder" 2>/dev/null || [ -x "$folder/usr/sbin/mysqld" ]
fi
echo "$folder"
