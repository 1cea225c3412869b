# Starts the MariaDB for trials (templates/mariadb.yaml). It writes to its volume and to /tmp alone.
set -eu
data=/var/lib/mysql/data
new=/var/lib/mysql/new
case ${PASSWORD:-} in
  '' | *[!A-Za-z0-9_-]*) echo "the password must be of letters, digits, - and _" >&2; exit 1 ;;
esac
if [ ! -d "$data" ]; then
  # Renamed once it is whole: a start that was broken off begins from nothing.
  rm -rf "$new"
  mkdir "$new"
  tables=$(ls /usr/share/m*/m*_system_tables.sql | head -n 1)
  { printf 'create database mysql;\nuse mysql;\n'; cat "$tables" "${tables%.sql}_data.sql"; } |
    mariadbd --no-defaults --datadir="$new" --bootstrap
  mv "$new" "$data"
fi
umask 077
# One statement a line. At each start, so that a new password counts. No client can be root, not even in the pod.
cat >/tmp/start.sql <<SQL
create database if not exists slicewise character set utf8mb4;
create user if not exists slicewise@'%' identified by '$PASSWORD';
alter user slicewise@'%' identified by '$PASSWORD';
grant all on slicewise.* to slicewise@'%';
drop user if exists root@'127.0.0.1', root@'::1', ''@'localhost';
alter user if exists root@'localhost' account lock;
SQL
# What was accepted is on the disk when it is confirmed: flush-log-at-trx-commit.
exec mariadbd --no-defaults --datadir="$data" --init-file=/tmp/start.sql --socket=/tmp/mariadb.sock --pid-file=/tmp/mariadb.pid \
  --bind-address='*' --port=3306 --skip-name-resolve --innodb-flush-log-at-trx-commit=1 --innodb-buffer-pool-size=256M \
  --character-set-server=utf8mb4 --max-allowed-packet=64M --max-connections=300
