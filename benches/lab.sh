# shellcheck shell=bash
# Nodes with a network namespace and a site of their own each. Cables (veth) join them in a switch (a bridge); whoever
# measures sits in one more namespace, number 0, and speaks to the nodes from there. Needs root.

# Cables of so many nodes.
lay_cables() { # NODES
  local number
  # The tests sweep away what has this name when the process is no more.
  lab=mk${BASHPID}x9
  spaces=() seats=() folders=() cabled=$1
  mkdir -p "$work/lab"
  ip netns add "${lab}hub"
  ip -n "${lab}hub" link add hub type bridge
  ip -n "${lab}hub" link set hub up
  for number in $(seq 0 "$1"); do
    spaces[number]=${lab}n$number folders[number]=$work/lab/n$number
    ip netns add "${spaces[number]}"
    ip -n "${lab}hub" link add "port$number" type veth peer name cable netns "${spaces[number]}"
    ip -n "${lab}hub" link set "port$number" master hub up
    ip -n "${spaces[number]}" addr add "$(address_of "$number")/24" dev cable
    ip -n "${spaces[number]}" link set lo up
    ip -n "${spaces[number]}" link set cable up
  done
}

address_of() { echo "10.77.0.$(($1 + 1))"; }

in_space() { ip netns exec "${spaces[$1]}" "${@:2}"; }

# Holds the cable of a node to MBIT a second, both ways.
shape_cable() { # NUMBER MBIT
  local shape=(root tbf rate "$2mbit" burst 128kb latency 50ms)
  tc -n "${spaces[$1]}" qdisc add dev cable "${shape[@]}"
  tc -n "${lab}hub" qdisc add dev "port$1" "${shape[@]}"
}

end_lab() {
  local number
  for number in "${!seats[@]}"; do end "${seats[number]}"; done
  for number in $(seq 0 "$cabled"); do ip netns del "${lab}n$number" 2> /dev/null || true; done
  ip netns del "${lab}hub" 2> /dev/null || true
  cabled=
  rm -rf "$work/lab"
}

# Starts node 1, claims it and uses it: from here on, questions are asked through a cable.
found_lab() { # [CONFIG LINE...]
  local claimed
  curl() { in_space 0 curl "$@"; }
  printf '%s\n' '[limits]' 'requests_per_second = 1000000' 'request_burst = 1000000' 'workers = 1' "$@" \
    > "$work/lab/config.toml"
  start_seat 1
  url=https://$(address_of 1) ca=${folders[1]}/tls/ca.pem
  claimed=$(jq -n --arg code "$(jq -r .claim_code <<< "$announced")" \
    '{code: $code, username: "ada", password: "a pass phrase of some length", application_name: "Films"}' |
    curl -sS --fail --cacert "$ca" -H 'content-type: application/json' -d @- "$url/api/v1/claim?kind=token")
  token=$(jq -r .token <<< "$claimed") application=$(jq -r .application <<< "$claimed")
}

join_lab() { # NUMBER
  start_seat "$1" "$(api -H 'content-type: application/json' -d '{}' "$url/api/v1/cluster/tokens" | jq -r .token)"
}

# Starts a node, with a token when it is new; sets what it announces.
start_seat() { # NUMBER [TOKEN]
  local address ready=$work/lab/ready
  address=$(address_of "$1")
  rm -f "$ready"; mkfifo "$ready"
  local join=()
  [ $# -lt 2 ] || join=(--join "$2")
  # Not by a function, which would be a process between.
  ip netns exec "${spaces[$1]}" "$node" run --dir "${folders[$1]}" --key-file "${folders[$1]}.key" --config "$work/lab/config.toml" \
    --announce --name "n$1" --site "s$1" --hostname "$address" --listen "$address:443" \
    --cluster-listen "$address:7443" "${join[@]}" > "$ready" 2>> "${folders[$1]}.log" < /dev/null &
  seats[$1]=$!
  started+=("${seats[$1]}")
  read -r announced < "$ready" || { tail "${folders[$1]}.log" >&2; exit 1; }
}

kill_seat() { # NUMBER
  kill -9 "${seats[$1]}"
  wait "${seats[$1]}" 2> /dev/null || true
  unset "seats[$1]"
}

id_of_seat() { api "$url/api/v1/cluster" | jq -er --arg name "n$1" '.nodes[] | select(.name == $name).id'; }

# Waits until the cluster's page, as node 1 has it, matches the jq condition.
wait_for_cluster() { # CONDITION
  local page=
  for _ in $(seq 1200); do
    page=$(api "$url/api/v1/cluster" 2> /dev/null) && jq -e "$1" <<< "$page" > /dev/null && return
    sleep 0.1
  done
  echo "the cluster did not get there: $1: $page" >&2
  exit 1
}

# Bytes of the sealed copies on a node's disk, of one asset or of all.
bytes_held() { # NUMBER [ASSET]
  find "${folders[$1]}/blobs/blobs/${2:-}" -name '*.blob' -printf '%s\n' 2> /dev/null | awk '{ sum += $1 } END { printf "%d", sum }'
}
