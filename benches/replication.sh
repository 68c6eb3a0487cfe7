# shellcheck shell=bash
# What three copies at three sites cost, beside Garage with three zones and fsync on. Both are asked by curl over HTTP/1.1, the
# one that Garage speaks; it signs no body. Counted is the processor time of the servers alone, with the third copy made.

measure_replication() {
  local plan size count clients
  start_garage
  for _ in $(seq "$rounds"); do
    # Nodes of their own each round: what has piled up in the one before is not this one's work.
    start_node "replication-$RANDOM$RANDOM" 3
    export work url urls ca token application
    for plan in $replication_plan; do
      IFS=: read -r size count clients <<< "$plan"
      replicate "$size" "$count" "$clients"
    done
    stop_newest
  done
}

replicate() { # MIB COUNT CLIENTS
  local file=$work/object.bin began before links gigabytes name=$1m ours_seconds peer_seconds ours peer number
  head -c "$(($1 * 1024 * 1024))" /dev/urandom > "$file"
  gigabytes=$(awk -v mib="$1" -v count="$2" 'BEGIN { print mib * count * 1048576 / 1e9 }')
  note="$2 objects, $3 clients"

  before=$(cpu_fields "$pids" 11 12) began=$(now)
  seq "$2" | xargs -P "$3" -I{} bash -c 'put_to_node "$1"' put {} > "$work/assets"
  ours_seconds=$(since "$began")
  all_copies_are_made
  ours=$(minus "$(cpu_fields "$pids" 11 12)" "$before")
  before=$(cpu_fields "$garage_pids" 11 12) began=$(now)
  seq "$2" | xargs -P "$3" -I{} bash -c 'put_to_garage "$1"' put {}
  peer_seconds=$(since "$began")
  sleep "$settle"
  peer=$(minus "$(cpu_fields "$garage_pids" 11 12)" "$before")
  sample "replicated-put-$name-cpu" "$(per "$ours" "$gigabytes")" "$(per "$peer" "$gigabytes")" \
    "CPU seconds per GB" lower 0.4
  sample "replicated-put-$name-rate" "$(per "$gigabytes" "$ours_seconds")" "$(per "$gigabytes" "$peer_seconds")" \
    "GB a second" higher 1.5

  # Making the links is part of it: nothing is downloaded without one.
  links=$(cut -c1-26 "$work/assets")
  before=$(cpu_fields "$pids" 11 12)
  xargs -P "$3" -I{} bash -c 'get_from_node "$1"' get {} <<< "$links"
  ours=$(minus "$(cpu_fields "$pids" 11 12)" "$before")
  before=$(cpu_fields "$garage_pids" 11 12)
  seq "$2" | xargs -P "$3" -I{} bash -c 'get_from_garage "$1"' get {}
  peer=$(minus "$(cpu_fields "$garage_pids" 11 12)" "$before")
  sample "replicated-get-$name-cpu" "$(per "$ours" "$gigabytes")" "$(per "$peer" "$gigabytes")" \
    "CPU seconds per GB" lower 0.5
  note=
  while read -r number; do forget "$number"; done <<< "$links"
}

# The nodes take turns, as the clients of the peer do. No program but the client runs beside what is measured.
put_to_node() { # NUMBER
  local all answer
  IFS=, read -ra all <<< "$urls"
  answer=$(curl -sS --http1.1 --fail --cacert "$ca" -H "authorization: Bearer $token" -T "$work/object.bin" \
    "${all[$1 % 3]}/api/v1/applications/$application/files/object-$1.mp4")
  [[ "$answer" =~ \"asset\":\"([^\"]+)\" ]] && echo "${BASH_REMATCH[1]}"
}

get_from_node() { # ASSET
  local link
  link=$(curl -sS --http1.1 --fail --cacert "$ca" -H "authorization: Bearer $token" -H 'content-type: application/json' \
    -d '{"what":"original"}' "$url/api/v1/assets/$1/downloads")
  [[ "$link" =~ \"url\":\"([^\"]+)\" ]] && link=${BASH_REMATCH[1]}
  case "$link" in https:*) ;; *) link=$url$link ;; esac
  [ "$(curl -sS --http1.1 --fail --cacert "$ca" "$link" | wc -c)" = "$(stat -c %s "$work/object.bin")" ]
}

put_to_garage() { # NUMBER
  curl -sS --fail --aws-sigv4 aws:amz:garage:s3 --user "$garage_user" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
    -T "$work/object.bin" "http://127.0.0.$(($1 % 3 + 1)):$((garage_port + 1))/bench/object-$1"
}

get_from_garage() { # NUMBER
  [ "$(curl -sS --fail --aws-sigv4 aws:amz:garage:s3 --user "$garage_user" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
    "http://127.0.0.$(($1 % 3 + 1)):$((garage_port + 1))/bench/object-$1" | wc -c)" = "$(stat -c %s "$work/object.bin")" ]
}

# Waits until every Blob has its third copy.
all_copies_are_made() {
  for _ in $(seq 1200); do
    api "$url/api/v1/cluster" | jq -e '.copies.missing_bytes == 0' > /dev/null && return
    sleep 0.1
  done
  echo "some copies were not made in time" >&2
  exit 1
}

start_garage() {
  local number other key secret
  [ -x "$garage" ] || { echo "there is no $garage: ./just bench replication builds it" >&2; exit 1; }
  garage_port=$(free_port) garage_pids=
  secret=$(openssl rand -hex 32)
  for number in 1 2 3; do
    mkdir -p "$work/garage/n$number"
    cat > "$work/garage/n$number.toml" << C
metadata_dir = "$work/garage/n$number/meta"
data_dir = "$work/garage/n$number/data"
db_engine = "lmdb"
metadata_fsync = true
data_fsync = true
compression_level = "none"
replication_factor = 3
rpc_secret = "$secret"
rpc_bind_addr = "127.0.0.$number:$garage_port"
rpc_public_addr = "127.0.0.$number:$garage_port"
[s3_api]
s3_region = "garage"
api_bind_addr = "127.0.0.$number:$((garage_port + 1))"
C
    RUST_LOG=warn "$garage" -c "$work/garage/n$number.toml" server > "$work/garage/n$number.log" 2>&1 &
    started+=($!)
    garage_pids+="${garage_pids:+ }$!"
  done
  for number in 1 2 3; do
    for other in 1 2 3; do
      [ "$number" = "$other" ] || insist garage_of "$number" node connect "$(insist garage_of "$other" node id -q)" > /dev/null
    done
  done
  for number in 1 2 3; do
    insist garage_of 1 layout assign -z "z$number" -c 10G "$(garage_of "$number" node id -q | cut -d@ -f1)" > /dev/null
  done
  insist garage_of 1 layout apply --version 1 > /dev/null
  insist garage_of 1 bucket create bench > /dev/null
  key=$(garage_of 1 key create load 2> /dev/null)
  garage_user=$(awk '/Key ID/ { id = $3 } /Secret key/ { secret = $3 } END { print id ":" secret }' <<< "$key")
  garage_of 1 bucket allow --read --write --owner bench --key "${garage_user%%:*}" > /dev/null 2>&1
  export garage_user garage_port
}

# Runs a command until it succeeds: what has just been started takes a moment.
insist() {
  for _ in $(seq 100); do "$@" 2> "$work/why" && return; sleep 0.1; done
  cat "$work/why" >&2
  return 1
}

garage_of() { "$garage" -c "$work/garage/n$1.toml" "${@:2}"; }

export -f put_to_node get_from_node put_to_garage get_from_garage
