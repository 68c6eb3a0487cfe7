# shellcheck shell=bash
# What viewers notice when a node is lost: nothing while it is killed, and little while its copies are made anew.

# Three nodes hold everything, one is killed and removed, and a fourth takes its place: all of it comes over its one cable.
# Meanwhile viewers, whose own cable is not shaped, read segments from every node: from those that send and the one that
# receives. There is no hot cache: a segment is read and checked each time. The same is measured when all is quiet again.
measure_repair() {
  build_load
  for _ in $(seq "$rounds"); do
    lay_cables 4
    found_lab 'hot_cache_mib = 0'
    join_lab 2
    join_lab 3
    put_film
    head -c "$((64 * 1024 * 1024))" /dev/urandom > "$work/object.mp4"
    for _ in $(seq "$((repair_mib / 64))"); do upload "$work/object.mp4" > /dev/null; done
    wait_until_whole
    repair_round
    end_lab
  done
}

repair_round() {
  local number began bytes ideal took watching
  for number in 1 2 3 4; do shape_cable "$number" "$link_mbit"; done
  bytes=$(bytes_held 1)
  ideal=$(awk -v bytes="$bytes" -v mbit="$link_mbit" 'BEGIN { print bytes * 8 / mbit / 1e6 }')
  number=$(id_of_seat 3)
  kill_seat 3
  api -X DELETE "$url/api/v1/nodes/$number"
  join_lab 4
  began=$(now)
  # Until then, viewers at this node are served by the others.
  until [ "$(bytes_held 4 "$film")" = "$(bytes_held 1 "$film")" ]; do sleep 0.05; done
  # For half of what it takes at the least: all of it is read during the repair.
  watch_all busy "$(per "$ideal" 2)" &
  watching=$!
  until [ "$(bytes_held 4)" = "$bytes" ]; do
    awk -v took="$(since "$began")" -v ideal="$ideal" 'BEGIN { exit took > 10 * ideal }' ||
      { echo "only $(bytes_held 4) of $bytes bytes came in $(since "$began") s" >&2; exit 1; }
    sleep 0.1
  done
  took=$(since "$began")
  note="$(per "$bytes" 1e9) GB in $took s, TCP $(in_space 1 sysctl -n net.ipv4.tcp_congestion_control)"
  sample repair-rate "$(awk -v bytes="$bytes" -v took="$took" 'BEGIN { print bytes * 8 / took / 1e6 }')" "$link_mbit" \
    Mbit/s higher 0.8
  wait "$watching"
  wait_until_whole
  sleep "$settle"
  watch_all quiet "$(per "$ideal" 2)"
  for number in 1 2 4; do
    note="p50 $(told busy "$number" .p50_ms) ms, quiet $(told quiet "$number" .p50_ms) ms;"
    note+=" $(told busy "$number" .operations) segments of $segment_bytes bytes"
    sample "repair-playback-$([ "$number" = 4 ] && echo receiver || echo "sender-$number")" \
      "$(told busy "$number" .p99_ms)" "$(told quiet "$number" .p99_ms)" "ms, p99" lower 1.5
  done
  note=
}

# Viewers of every node that is up, at once; eight segments a second each.
watch_all() { # NAME SECONDS
  local number watching=()
  for number in "${!seats[@]}"; do
    in_space 0 "$load_client" viewer get --endpoints "https://$(address_of "$number")" --ca "$ca" --paths "$paths" \
      --clients 4 --every-ms 500 --seconds "$2" > "$work/$1-$number" &
    watching+=($!)
  done
  for number in "${watching[@]}"; do wait "$number"; done
}

# One figure of what viewers had; none of their requests may have failed.
told() { # NAME NUMBER FIGURE
  jq -e "if .failures == 0 then $3 * 100 | round / 100 else error(.last_failure) end" "$work/$1-$2"
}

# Four nodes, three of which hold the film: the fourth asks the others. Viewers begin at each of them and go on at the next
# one when a request fails, once, while one node after the other is killed and started again.
measure_node_kill() {
  local number endpoints='' watching failed
  build_load
  lay_cables 4
  found_lab 'hot_cache_mib = 0'
  for number in 2 3 4; do join_lab "$number"; done
  for number in 1 2 3 4; do endpoints+="${endpoints:+,}https://$(address_of "$number")"; done
  put_film
  wait_until_whole
  for _ in $(seq "$rounds"); do
    for number in 1 2 3 4; do
      in_space 0 "$load_client" viewer get --endpoints "$endpoints" --ca "$ca" --paths "$paths" --clients 16 \
        --every-ms 200 --seconds 12 > "$work/watched" &
      watching=$!
      sleep 3
      kill_seat "$number"
      wait "$watching"
      failed=$(jq .failures "$work/watched")
      jq -e '.retried > 0' "$work/watched" > /dev/null || { echo "nobody noticed: $(cat "$work/watched")" >&2; exit 1; }
      note="$(jq .operations "$work/watched") requests, $(jq .retried "$work/watched") of them made twice"
      [ "$failed" = 0 ] || note+="; $(jq -r .last_failure "$work/watched")"
      sample node-kill-failed "$failed" 1 "requests that failed twice" lower 0
      note=
      start_seat "$number"
      wait_until_whole
    done
  done
  end_lab
}

# A film that can be watched, and the paths of its segments; sets film, paths and segment_bytes.
put_film() {
  local folder
  film=$(upload "$(clip repair.mp4 1280x720 48 1200k)")
  wait_for "$film" '.state == "ready"'
  folder=$(view "$film")
  paths=$(api "${folder}v720/index.m3u8" | grep -v '^#' | sed "s|^|/${folder#https://*/}v720/|" | paste -sd,)
  segment_bytes=$(api "${folder}v720/0.m4s" | wc -c)
}

# Waits until every asset has three copies on nodes that answer, and everybody knows.
wait_until_whole() {
  wait_for_cluster '([.nodes[] | select(.alive)] | length) == (.nodes | length) and .repair.missing_bytes == 0
    and .copies.assets_with_three > 0
    and .copies.assets_with_two + .copies.assets_with_one + .copies.assets_with_none == 0'
}
