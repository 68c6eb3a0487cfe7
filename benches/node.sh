# shellcheck shell=bash
# Nodes for the measurements, and what is asked of them. `use NAME` chooses which one the functions speak to.

start_node() { # NAME NODES [CONFIG LINE...]
  local name=$1 nodes=$2 folder=$work/$1 line
  [ -x "$node" ] || { echo "there is no $node: cargo build --release --workspace" >&2; exit 1; }
  mkdir -p "$folder"
  # The limits are for many clients; here one client is all the load.
  printf '%s\n' '[limits]' 'requests_per_second = 1000000' 'request_burst = 1000000' "${@:3}" > "$folder/config.toml"
  mkfifo "$folder/ready"
  "$node" dev --nodes "$nodes" --dir "$folder/nodes" --config "$folder/config.toml" \
    > "$folder/ready" 2> "$folder/log" &
  started+=($!)
  read -r line < "$folder/ready" || { cat "$folder/log" >&2; exit 1; }
  printf '%s\n' "$line" > "$folder/told"
  token=$(jq '{username, password}' <<< "$line" |
    curl -sS --fail --cacert "$(jq -r .ca <<< "$line")" -H 'content-type: application/json' -d @- \
      "$(jq -r '.nodes[0].url' <<< "$line")/api/v1/sessions?kind=token" | jq -r .token)
  printf '%s\n' "$token" > "$folder/token"
  use "$name"
}

use() { # NAME
  local told=$work/$1/told
  url=$(jq -r '.nodes[0].url' "$told") ca=$(jq -r .ca "$told") pid=$(jq -r '.nodes[0].pid' "$told")
  pids=$(jq -r '[.nodes[].pid | tostring] | join(" ")' "$told")
  urls=$(jq -r '[.nodes[].url] | join(",")' "$told")
  application=$(jq -r .application "$told")
  username=$(jq -r .username "$told") password=$(jq -r .password "$told")
  token=$(cat "$work/$1/token")
}

# Starts the node NAME unless it runs already, and uses it.
need_node() { # NAME NODES [CONFIG LINE...]
  if [ -s "$work/$1/token" ]; then use "$1"; else start_node "$@"; fi
}

api() { curl -sS --fail --connect-timeout 10 --max-time 600 --cacert "$ca" -H "authorization: Bearer $token" "$@"; }

# Uploads FILE; prints the asset.
upload() { # FILE [CURL OPTION...]
  api "${@:2}" -T "$1" "$url/api/v1/applications/$application/files/$(basename "$1")" | jq -r .asset
}

# Uploads FILE by tus, in one piece; prints the asset.
upload_by_tus() {
  local place
  place=$(api -X POST -H 'Tus-Resumable: 1.0.0' -H "Upload-Length: $(stat -c %s "$1")" -D - -o /dev/null \
    "$url/api/v1/uploads" | tr -d '\r' | sed -n 's|^[Ll]ocation: ||p')
  api -X PATCH -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' -H 'Content-Type: application/offset+octet-stream' \
    -T "$1" "$url$place"
  echo "${place##*/}"
}

# Removes ASSET for good, with the work on it.
forget() {
  api -X POST -o /dev/null "$url/api/v1/assets/$1/trash"
  api -X POST -o /dev/null "$url/api/v1/assets/$1/purge"
}

# Waits until ASSET is in a state that matches the jq condition.
wait_for() {
  local view
  for _ in $(seq 12000); do
    view=$(api "$url/api/v1/assets/$1")
    jq -e "$2" <<< "$view" > /dev/null && return
    jq -e '.state == "failed"' <<< "$view" > /dev/null && { echo "$view" >&2; exit 1; }
    sleep 0.05
  done
  echo "$1 did not get there: $2" >&2
  exit 1
}

# The folder address of a View of ASSET that any player may use.
view() {
  local path
  path=$(api -H 'content-type: application/json' -d '{"carrier":"path","any_address":true}' \
    "$url/api/v1/assets/$1/views" | jq -r .playlist_url)
  case "$path" in https:*) ;; *) path=$url$path ;; esac
  echo "${path%main.m3u8}"
}

# CPU seconds of the node $1, of what its workers are forked from, and of those that have ended.
cpu_with_workers() { cpu_fields "$1 $(pgrep -P "$1" | xargs)" 11 12 13 14; }

# CPU seconds of the processes in $1 (a list) and their living children.
cpu() {
  local process all=()
  for process in $1; do
    all+=("$process")
    mapfile -t -O "${#all[@]}" all < <(pgrep -P "$process" || true)
  done
  cpu_fields "${all[*]}" 11 12
}

cpu_fields() { # PROCESSES FIELD...
  local total=0 process field fields
  for process in $1; do
    read -ra fields < <(sed 's/.*) //' "/proc/$process/stat" 2>/dev/null) || continue
    for field in "${@:2}"; do total=$((total + fields[field])); done
  done
  awk -v ticks=$total -v hz="$(getconf CLK_TCK)" 'BEGIN { print ticks / hz }'
}

now() { date +%s.%N; }
since() { minus "$(now)" "$1"; }
minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a - b }'; }
per() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4f", b == 0 ? 0 : a / b }'; }
smaller() { awk -v a="$1" -v b="$2" 'BEGIN { print (a < b) ? a : b }'; }

free_port() {
  local port
  while :; do
    port=$(shuf -i 20000-29999 -n1)
    ss -ltn | grep -q ":$port " || break
  done
  echo "$port"
}

wait_for_port() { # PORT
  for _ in $(seq 200); do ss -ltn | grep -q "127.0.0.1:$1 " && return; sleep 0.05; done
  echo "nothing listens on port $1" >&2
  exit 1
}

# A certificate authority and a server certificate as a node has them: ECDSA P-256, sent as a chain of two.
make_certificate() {
  [ -s "$work/cert.pem" ] && return
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=a certificate authority" \
    -keyout "$work/ca.key" -out "$work/ca.pem" 2> /dev/null
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout "$work/key.pem" \
    -out "$work/request.pem" 2> /dev/null
  openssl x509 -req -in "$work/request.pem" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
    -out "$work/leaf.pem" 2> /dev/null
  cat "$work/leaf.pem" "$work/ca.pem" > "$work/cert.pem"
}

# What a TLS connection to HOST:PORT is made of: version, cipher, group, kind of certificate, length of the chain.
tls_of() {
  openssl s_client -connect "$1" -showcerts < /dev/null 2> /dev/null |
    awk '/^New, / { version = $2; cipher = $NF } /^Server Temp Key/ { group = $4 } /^Peer signature type/ { kind = $NF }
      /BEGIN CERTIFICATE/ { chain++ } /^Server public key/ { bits = $5 }
      END { print version, cipher, group, kind, bits, chain }'
}
