#!/usr/bin/env bash
# postgres.sh: prints the folder with PostgreSQL's programs, for the figure beside PgQueuer: those of an installed Debian package, or taken out
# of Debian's packages (20 MB) into the cache; nothing is installed and no rights are needed. Libraries are in lib/ beside it, if anywhere.
set -euo pipefail
for folder in /usr/lib/postgresql/*/bin; do
  if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then echo "$folder" && exit 0; fi
done
cache=${SLICEWISE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/slicewise}
folder=$cache/postgres
packages=(postgresql-15 libpq5 libicu72 libxml2 libldap-2.5-0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1
  libsasl2-2 libssl3 liblz4-1 libzstd1 libpam0g libsystemd0 libcap2 libgcrypt20 libgpg-error0 libaudit1 libcap-ng0 libcom-err2)
if [ ! -x "$folder/usr/lib/postgresql/15/bin/postgres" ]; then
  work=$(mktemp -d)
  part=$folder.part.$$
  trap 'rm -rf "$work" "$part"' EXIT
  # World-writable, so that apt's own user may write there when this runs as root.
  chmod 777 "$work"
  if ! (cd "$work" && { apt-get download -qq "${packages[@]}" || { apt-get update -qq && apt-get download -qq "${packages[@]}"; }; } >&2); then
    echo "the figure beside PgQueuer needs PostgreSQL, and these Debian packages could not be had: ${packages[*]}" >&2
    exit 1
  fi
  for package in "$work"/*.deb; do dpkg-deb -x "$package" "$part"; done
  mkdir -p "$part/usr/lib/postgresql/15/bin/lib"
  find "$part" -path "$part/usr/lib/postgresql" -prune -o -name '*.so*' -exec cp -P {} "$part/usr/lib/postgresql/15/bin/lib/" \;
  mv -T "$part" "$folder" 2>/dev/null || [ -x "$folder/usr/lib/postgresql/15/bin/postgres" ]
fi
echo "$folder/usr/lib/postgresql/15/bin"
