# shellcheck shell=bash
# What agreement costs: small changes and reads that no later one may contradict, beside etcd; and how soon writes are back
# when the leader is killed. `one-voter` compares a node alone with etcd alone, the others three nodes with three.

measure_one_voter() { agreement 1; }

measure_metadata() { agreement 3; }

agreement() { # NODES
  local nodes=$1 clients operation name bar
  build_load
  start_etcd "$nodes"
  need_node "agreement-$nodes" "$nodes"
  make_assets 64
  for _ in $(seq "$rounds"); do
    for clients in 1 16 64; do
      for operation in put get; do
        if [ "$operation" = put ]; then name=metadata-put bar=1; else name=linearizable-get bar=1.5; fi
        run_load "$pids" node "$operation" "$urls" --ca "$ca" --token "$token" --assets "$assets" --clients "$clients"
        ours=$per_second note="ours p99 $p99_ms ms, $cpu_us CPU us each"
        run_load "$etcd_pids" etcd "$operation" "$etcd_urls" --clients "$clients"
        note+="; etcd p99 $p99_ms ms, $cpu_us CPU us each"
        sample "$name-$nodes-nodes-$clients-clients" "$ours" "$per_second" "a second" higher "$bar"
        note=
      done
    done
  done
}

# Runs the load on the processes PIDS; sets per_second, p99_ms, cpu_us and gap_seconds.
run_load() { # PIDS SYSTEM OPERATION ENDPOINTS OPTION...
  local before after answer
  before=$(cpu "$1")
  answer=$("$load_client" "$2" "$3" --endpoints "$4" --seconds "$seconds" "${@:5}")
  after=$(cpu "$1")
  jq -e '.failures == 0' <<< "$answer" > /dev/null || { echo "$2 $3: $answer" >&2; exit 1; }
  per_second=$(jq '.per_second | round' <<< "$answer") p99_ms=$(jq '.p99_ms * 10 | round / 10' <<< "$answer")
  cpu_us=$(jq --argjson cpu "$(minus "$after" "$before")" '$cpu * 1e6 / .operations | round' <<< "$answer")
}

# The time without a successful write when the leader is killed, seen by clients of the two others.
measure_failover() {
  local round leader_url leader_pid others gap
  build_load
  for round in $(seq "$rounds"); do
    start_node "failover-$round" 3
    make_assets 4
    leader_url=$(leader_of_nodes)
    leader_pid=$(jq -r --arg url "$leader_url" '.nodes[] | select(.url == $url).pid' "$work/failover-$round/told")
    others=$(jq -r --arg url "$leader_url" '[.nodes[].url | select(. != $url)] | join(",")' "$work/failover-$round/told")
    ours=$(gap_after_kill "$leader_pid" node "$others" --ca "$ca" --token "$token" --assets "$assets")
    stop_newest
    start_etcd 3
    leader_url=$(leader_of_etcd)
    others=$(tr , '\n' <<< "$etcd_urls" | grep -vF "$leader_url" | paste -sd,)
    gap=$(gap_after_kill "$(pid_of_etcd "$leader_url")" etcd "$others")
    note="etcd $gap s; ours must be within 1 s whatever etcd does"
    sample failover "$ours" 1 "seconds without a write" lower 1
    sample failover-beside-etcd "$ours" "$gap" "seconds without a write" lower 1
    note=
    stop_etcd
  done
}

gap_after_kill() { # PID SYSTEM ENDPOINTS OPTION...
  local writing
  "$load_client" "$2" put --endpoints "$3" --clients 4 --seconds 10 --timeout-ms 300 "${@:4}" > "$work/gap" &
  writing=$!
  sleep 3
  kill -9 "$1"
  wait "$writing"
  jq .longest_gap_seconds "$work/gap"
}

# The address of the node that leads.
leader_of_nodes() {
  api "$url/api/v1/cluster" |
    jq -er '.leader as $leader | .nodes[] | select(.id == $leader) | "https://" + .public_address' ||
    { echo "no node leads" >&2; exit 1; }
}

# So many assets that can be described and read; sets `assets`. Their bytes never come.
make_assets() { # COUNT
  local name made=()
  for name in $(seq "$1"); do
    made+=("$(curl -sS --fail --cacert "$ca" -H "authorization: Bearer $token" -H 'Tus-Resumable: 1.0.0' -X POST \
      -H 'Upload-Length: 1000' -H "Upload-Metadata: filename $(printf %s "$name.mp4" | base64)" -D - -o /dev/null \
      "$url/api/v1/uploads" | tr -d '\r' | sed -n 's|^[Ll]ocation: .*/||p')")
  done
  assets=$(IFS=,; echo "${made[*]}")
}

build_load() {
  load_client=target/load/release/load
  cargo build --quiet --release --locked --manifest-path benches/load/Cargo.toml --target-dir target/load
}

start_etcd() { # NODES
  local base number cluster='' folder
  base=$(free_port)
  etcd_urls='' etcd_pids=''
  for number in $(seq "$1"); do cluster+="${cluster:+,}n$number=http://127.0.0.1:$((base + number * 2 + 1))"; done
  folder=$(mktemp -d "$work/etcd.XXXX")
  for number in $(seq "$1"); do
    etcd --name "n$number" --data-dir "$folder/n$number" --initial-cluster "$cluster" --initial-cluster-state new \
      --listen-client-urls "http://127.0.0.1:$((base + number * 2))" \
      --advertise-client-urls "http://127.0.0.1:$((base + number * 2))" \
      --listen-peer-urls "http://127.0.0.1:$((base + number * 2 + 1))" \
      --initial-advertise-peer-urls "http://127.0.0.1:$((base + number * 2 + 1))" --log-level error \
      > "$folder/n$number.log" 2>&1 &
    started+=($!)
    etcd_pids+="${etcd_pids:+ }$!"
    etcd_urls+="${etcd_urls:+,}http://127.0.0.1:$((base + number * 2))"
  done
  for _ in $(seq 100); do
    ETCDCTL_API=3 etcdctl --endpoints "$etcd_urls" endpoint health > /dev/null 2>&1 && return
    sleep 0.2
  done
  echo "etcd did not start" >&2
  exit 1
}

stop_etcd() { for process in $etcd_pids; do end "$process"; done; }

leader_of_etcd() {
  ETCDCTL_API=3 etcdctl --endpoints "$etcd_urls" endpoint status -w json |
    jq -r '.[] | select(.Status.leader == .Status.header.member_id).Endpoint' | head -1
}

pid_of_etcd() { # ADDRESS
  local place
  place=$(tr , '\n' <<< "$etcd_urls" | grep -nxF "$1" | cut -d: -f1)
  cut -d' ' -f"$place" <<< "$etcd_pids"
}
