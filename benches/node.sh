# shellcheck shell=bash
# One node for the measurements, and what is asked of it.

start_node() {
  [ -x "$node" ] || { echo "there is no $node: cargo build --release --workspace" >&2; exit 1; }
  printf '[limits]\nrequests_per_second = 1000000\nrequest_burst = 1000000\n' > "$work/config.toml"
  mkfifo "$work/ready"
  "$node" dev --nodes 1 --dir "$work/nodes" --config "$work/config.toml" > "$work/ready" 2> "$work/node.log" &
  started+=($!)
  local line
  read -r line < "$work/ready" || { cat "$work/node.log" >&2; exit 1; }
  url=$(jq -r '.nodes[0].url' <<< "$line") ca=$(jq -r .ca <<< "$line") pid=$(jq -r '.nodes[0].pid' <<< "$line")
  application=$(jq -r .application <<< "$line")
  token=$(jq '{username, password}' <<< "$line" |
    curl -sS --fail --cacert "$ca" -H 'content-type: application/json' -d @- "$url/api/v1/sessions?kind=token" | jq -r .token)
}

api() { curl -sS --fail --cacert "$ca" -H "authorization: Bearer $token" "$@"; }

# Uploads FILE; prints the asset.
upload() { api -T "$1" "$url/api/v1/applications/$application/files/$(basename "$1")" | jq -r .asset; }

# Waits until ASSET is in a state that matches the jq condition.
wait_for() {
  local view
  for _ in $(seq 6000); do
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

# CPU seconds of process $1 and the children it has waited for.
cpu_with_children() {
  local fields
  read -ra fields <<< "$(sed 's/.*) //' "/proc/$1/stat")"
  awk -v ticks=$((fields[11] + fields[12] + fields[13] + fields[14])) -v hz="$(getconf CLK_TCK)" 'BEGIN { print ticks / hz }'
}

# CPU seconds of process $1 and its living children.
cpu() {
  local total=0 process fields
  for process in "$1" $(pgrep -P "$1" || true); do
    read -ra fields <<< "$(sed 's/.*) //' "/proc/$process/stat")"
    total=$((total + fields[11] + fields[12]))
  done
  awk -v ticks=$total -v hz="$(getconf CLK_TCK)" 'BEGIN { print ticks / hz }'
}

now() { date +%s.%N; }
minus() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a - b }'; }
per() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4f", a / b }'; }
