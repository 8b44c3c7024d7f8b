#!/bin/sh
# What 'make compose-up' does: makes the passwords, starts everything, waits until it is ready.
# May be run again: passwords stay as they are, and what runs and has not changed goes on running.
set -eu
cd "$(dirname "$0")"
umask 077

fail() {
    printf 'compose-up: %s\n' "$*" >&2
    exit 1
}

command -v docker >/dev/null 2>&1 ||
    fail "there is no 'docker' here: install Docker Engine or Docker Desktop; 'make up' needs neither"
version=$(docker compose version --short 2>/dev/null) ||
    fail "'docker compose' does not work: install Docker's Compose plugin, 2.24 or newer"
case ${version#v} in
    0.* | 1.* | 2.[0-9] | 2.[0-9].* | 2.1[0-9].* | 2.2[0-3].*)
        fail "Docker Compose is $version: 2.24 or newer is needed" ;;
esac
docker info >/dev/null 2>&1 ||
    fail "no Docker engine answers: start it, and see that 'docker info' works for this user"

# Each container has users of its own, to whom the files are shown one by one: they may read them,
# and the directory keeps everybody else on this machine out.
mkdir -p secrets
chmod 700 secrets
for name in clickhouse_admin clickhouse_writer clickhouse_reader; do
    [ -s "secrets/$name" ] && continue
    # In one step, so that an interrupted run leaves no half of a password.
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"secrets/.$name"
    chmod 444 "secrets/.$name"
    mv "secrets/.$name" "secrets/$name"
done

docker compose up --build --wait --wait-timeout 600 || {
    docker compose ps --all >&2 || true
    fail "not everything became ready; 'docker compose logs' in $(pwd) says why"
}

# 127.0.0.1:8080, whatever .env says of it.
address=$(docker compose port router 8080)
cat <<EOF

Tally is ready at http://$address

In $(pwd):
  docker compose run --rm tools keys create --tenant acme      # prints an API key, once
  docker compose run --rm tools status
  docker compose up -d --scale gateway=2 --scale consumer=3
  docker compose logs -f gateway consumer

'make compose-down' stops it and keeps what it holds.
EOF
