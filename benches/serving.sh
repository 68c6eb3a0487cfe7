# shellcheck shell=bash
# What a node costs while it serves: idle memory, segments and new connections beside nginx, uploads, the first picture.

measure_idle() {
  local rss
  for _ in $(seq "$rounds"); do
    start_node "idle-$RANDOM$RANDOM" 1
    sleep "$settle"
    rss=$(awk '/VmRSS/ { print $2 / 1024 }' "/proc/$pid/status")
    sample idle-rss "$rss" 80 MiB lower 1
    stop_newest
  done
}

# Two nodes serve the same files as nginx does: one from its hot cache, one that has none and reads and verifies every
# segment, as nginx from the page cache.
measure_deliver() {
  local name address
  make_certificate
  prepare_segments
  start_nginx
  same_tls "$hot_host" "$nginx_host"
  same_tls "$cold_host" "$nginx_host"
  for _ in $(seq "$rounds"); do
    for name in 200k 2m 6m; do
      address=https://$nginx_host/$name.m4s
      note="$(stat -c %s "$work/www/$name.m4s") bytes"
      peer=$(cpu_per_gb "$nginx" "$address" "$name")
      sample "deliver-$name-hot" "$(cpu_per_gb "$hot_pid" "$(cat "$work/hot-$name")" "$name")" "$peer" \
        "CPU seconds per GB" lower 0.8
      sample "deliver-$name-page-cache" "$(cpu_per_gb "$cold_pid" "$(cat "$work/cold-$name")" "$name")" "$peer" \
        "CPU seconds per GB" lower 1.3
    done
    note="full TLS 1.3 handshakes"
    read -r ours ours_cpu < <(connections "$hot_pid" "https://$hot_host/healthz")
    read -r peer peer_cpu < <(connections "$nginx" "https://$nginx_host/small")
    sample deliver-connections "$ours" "$peer" "TLS connections per second" higher 1
    sample deliver-connections-cpu "$ours_cpu" "$peer_cpu" "CPU milliseconds per TLS connection" lower 1
    note=
  done
}

host_of() { sed 's|https://\([^/]*\).*|\1|' <<< "$1"; }

# Segments of about 200 KB, 2 MB and 6 MB: what a ladder makes of 240p, and what passes through of 4 and 12 Mbit/s.
prepare_segments() {
  local large small cache name
  large=$(clip deliver6.mp4 1920x1080 8 12M)
  small=$(clip deliver2.mp4 1280x720 8 4M)
  mkdir -p "$work/www"
  for cache in hot cold; do
    if [ "$cache" = hot ]; then need_node hot 1; else need_node cold 1 'hot_cache_mib = 0'; fi
    printf -v "${cache}_pid" %s "$pid"
    printf -v "${cache}_host" %s "$(host_of "$url")"
    segments_of "$(upload "$large")" "$cache" 6m:v1080
    segments_of "$(upload "$small")" "$cache" 2m:v720 200k:v240
  done
  for name in 6m 2m 200k; do
    curl -sS --fail --cacert "$(cat "$work/hot-ca")" -o "$work/www/$name.m4s" "$(cat "$work/hot-$name")"
    # The clips are the same on both nodes, and so is the length of what they became, give or take a little.
    curl -sS --fail --cacert "$(cat "$work/cold-ca")" -o "$work/www/$name.cold" "$(cat "$work/cold-$name")"
  done
}

segments_of() { # ASSET CACHE NAME:RENDITION...
  local folder pair
  wait_for "$1" '.state == "ready"'
  folder=$(view "$1")
  echo "$ca" > "$work/$2-ca"
  for pair in "${@:3}"; do echo "$folder${pair#*:}/0.m4s" > "$work/$2-${pair%:*}"; done
}

start_nginx() {
  local port
  port=$(free_port)
  mkdir -p "$work/www"
  echo ok > "$work/www/small"
  chmod -R a+rX "$work/www"; chmod a+x "$work" "$clips"
  cat > "$work/nginx.conf" <<CONFIG
worker_processes $(nproc); pid $work/nginx.pid; error_log $work/nginx.log; daemon off; $([ "$(id -u)" = 0 ] && echo "user root;")
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=100;
  client_body_temp_path $work/t1; proxy_temp_path $work/t2; fastcgi_temp_path $work/t3; uwsgi_temp_path $work/t4;
  scgi_temp_path $work/t5;
  server { listen 127.0.0.1:$port ssl backlog=1024; ssl_certificate $work/cert.pem; ssl_certificate_key $work/key.pem;
    ssl_protocols TLSv1.3; root $work/www; client_max_body_size 0; location /sink { return 200; } } }
CONFIG
  nginx -p "$work" -c "$work/nginx.conf" > /dev/null 2>&1 &
  nginx=$!
  started+=("$nginx")
  wait_for_port "$port"
  nginx_host=127.0.0.1:$port
}

# A comparison of two different handshakes or ciphers would be worth nothing.
same_tls() {
  local ours theirs
  ours=$(tls_of "$1") theirs=$(tls_of "$2")
  [ "$ours" = "$theirs" ] || { echo "not the same TLS: ours $ours, theirs $theirs" >&2; exit 1; }
}

cpu_per_gb() { # PIDS ADDRESS NAME
  local before requests size
  size=$(curl -sS -k --fail -o /dev/null -w '%{size_download}' "$2")
  wrk -t1 -c8 -d1s "$2" > /dev/null
  before=$(cpu "$1")
  requests=$(wrk -t1 -c8 -d"${seconds}s" "$2" | whole_answers)
  per "$(minus "$(cpu "$1")" "$before")" "$(awk -v n="$requests" -v size="$size" 'BEGIN { print n * size / 1e9 }')"
}

# The number of requests wrk tells of, when all of them were answered well.
whole_answers() {
  awk '/requests in/ { print $1 } /Non-2xx|Socket errors/ { print > "/dev/stderr"; bad = 1 } END { exit bad }'
}

# New connections a second, each with one small answer and then closed, and the server's CPU milliseconds for each.
connections() { # PIDS ADDRESS
  local before requests
  before=$(cpu "$1")
  requests=$(wrk -t1 -c8 -d"${seconds}s" -H 'Connection: close' "$2" | whole_answers)
  echo "$(per "$requests" "$seconds") $(per "$(minus "$(cpu "$1")" "$before")" "$(per "$requests" 1000)")"
}

# The same bytes: written and synced by dd, taken by a plain TLS server that throws them away, uploaded by PUT over HTTP/2
# (what curl chooses) and HTTP/1.1, and by one PATCH of tus.
measure_upload() {
  local file=$work/upload.bin began disk plain peer how
  make_certificate
  start_nginx
  need_node hot 1
  head -c "$((upload_mib * 1024 * 1024))" /dev/urandom > "$file"
  for _ in $(seq "$rounds"); do
    began=$(now); dd if="$file" of="$work/copy" bs=1M conv=fsync status=none; disk=$(since "$began")
    rm "$work/copy"
    plain=$(plain_upload "$file")
    peer=$(smaller "$(per "$upload_mib" "$disk")" "$(per "$upload_mib" "$plain")")
    for how in upload upload-http1 upload-tus; do
      one_upload "$how" "$file" "$peer" "dd $(per "$upload_mib" "$disk"), plain TLS $(per "$upload_mib" "$plain") MiB/s"
    done
  done
}

one_upload() { # NAME FILE PEER NOTE
  local began ours before asset
  before=$(cpu "$pid")
  began=$(now)
  case "$1" in
    upload) asset=$(upload "$2") ;;
    upload-http1) asset=$(upload "$2" --http1.1) ;;
    upload-tus) asset=$(upload_by_tus "$2") ;;
  esac
  ours=$(since "$began")
  note="$4; $(minus "$(cpu "$pid")" "$before") CPU seconds"
  sample "$1" "$(per "$upload_mib" "$ours")" "$3" MiB/s higher 0.7
  note=
  forget "$asset"
}

# Seconds in which a TLS server that keeps nothing takes FILE, from the client that also sends it to the node.
plain_upload() {
  local began sent
  began=$(now)
  sent=$(curl -sS -k --http1.1 --max-time 600 -o "$work/plain" -w '%{http_code} %{size_upload}' -T "$1" "https://$nginx_host/sink")
  since "$began"
  [ "$sent" = "200 $(stat -c %s "$1")" ] || { echo "the plain TLS server did not take the whole file: $sent" >&2; exit 1; }
}

measure_first_frame() {
  local file asset presses=20
  file=$(clip frame.mp4 1280x720 12 3M)
  need_node hot 1
  asset=$(upload "$file"); wait_for "$asset" '.state == "ready"'
  node benches/first_frame.mjs "$url" "$username" "$password" "$application" "$asset" frame "$presses" > "$work/frames"
  for from in press open; do
    note="$presses presses, from the $([ "$from" = press ] && echo "start button" || echo "card in the library")"
    sample "first-frame-$from-median" "$(quantile 0.5 .$from)" 0.5 seconds lower 1
    sample "first-frame-$from-p95" "$(quantile 0.95 .$from)" 1 seconds lower 1
  done
  note=
}

quantile() { # SHARE FIELD
  jq -s --argjson share "$1" "map($2 / 1000) | sort | .[((length * \$share | ceil) - 1)]" "$work/frames"
}
