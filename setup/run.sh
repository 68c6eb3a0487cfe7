#!/usr/bin/env bash
# Starts one node with a fresh data folder, imports a short real clip, says where to look, and stays until stopped.
# Usage: setup/run.sh [CLIP]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

node=${MEDIAKEEP_BIN:-target/debug/mediakeep}
clip=${1:-$(setup/clip.sh)}
data=$(mktemp -d "${TMPDIR:-/tmp}/mediakeep.XXXXXX")
mkfifo "$data/ready"

"$node" dev --nodes 1 --dir "$data/nodes" > "$data/ready" 2> "$data/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"' EXIT

if ! read -r line < "$data/ready"; then
  echo "The node did not start. Its log:" >&2
  cat "$data/log" >&2
  exit 1
fi
field() { jq -r "$1" <<<"$line"; }
export MEDIAKEEP_URL MEDIAKEEP_CA
MEDIAKEEP_URL=$(field '.nodes[0].url')
MEDIAKEEP_CA=$(field .ca)
username=$(field .username)
password=$(field .password)
address=${MEDIAKEEP_URL#https://}
fingerprint=$(openssl s_client -connect "$address" </dev/null 2>/dev/null |
  openssl x509 -noout -fingerprint -sha256 | cut -d= -f2)

cat <<END

  mediakeep runs at   $MEDIAKEEP_URL
  certificate         SHA-256 $fingerprint
  its authority       $MEDIAKEEP_CA
  user                $username
  password            $password
  log                 $data/log

The browser will warn once, because the certificate comes from this node's own authority: compare the fingerprint.
Importing a short clip ($(basename "$clip")) so that something plays at once.

END
export XDG_CONFIG_HOME="$data/config"
"$node" login --username "$username" --password "$password"
"$node" upload "$clip" --wait && echo "Ready to watch. Stop with Ctrl-C; the data folder is removed then."
wait "$server"
