# shellcheck shell=bash
# The measurements, each in interleaved rounds.

clip() { # NAME SIZE SECONDS BITRATE
  [ -s "$work/$1" ] || ffmpeg -nostdin -v error -y -f lavfi -i "testsrc2=size=$2:rate=30:duration=$3" \
    -f lavfi -i "sine=sample_rate=48000:duration=$3" -vf noise=alls=12:allf=t -c:v libx264 -preset ultrafast -g 60 \
    -b:v "$4" -minrate "$4" -maxrate "$4" -bufsize "$4" -c:a aac "$work/$1"
  echo "$work/$1"
}

measure_idle() {
  local rss
  sleep 2
  rss=$(awk '/VmRSS/ { print $2 / 1024 }' "/proc/$pid/status")
  sample idle-rss "$rss" 80 MiB lower 1
}

measure_upload() {
  local file=$work/upload.bin began ours disk plain peer
  head -c "$((upload_mib * 1024 * 1024))" /dev/urandom > "$file"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
  for _ in $(seq "$rounds"); do
    began=$(now); dd if="$file" of="$work/copy" bs=1M conv=fsync status=none; disk=$(minus "$(now)" "$began")
    plain=$(plain_receiver "$file")
    peer=$(awk -v a="$disk" -v b="$plain" 'BEGIN { print (a > b) ? a : b }')
    began=$(now); upload "$file" > /dev/null; ours=$(minus "$(now)" "$began")
    sample upload "$(per "$upload_mib" "$ours")" "$(per "$upload_mib" "$peer")" MiB/s higher 0.7
  done
}

# Seconds in which a TLS server that keeps nothing takes FILE.
plain_receiver() {
  local port began receiver
  port=$(shuf -i 20000-50000 -n1)
  openssl s_server -quiet -accept "127.0.0.1:$port" -key "$work/key.pem" -cert "$work/cert.pem" -naccept 1 \
    < <(sleep 600) > /dev/null 2>&1 &
  receiver=$!
  for _ in $(seq 100); do ss -ltn | grep -q "127.0.0.1:$port " && break; sleep 0.05; done
  began=$(now)
  openssl s_client -quiet -no_ign_eof -connect "127.0.0.1:$port" < "$1" > /dev/null 2>&1 || true
  minus "$(now)" "$began"
  kill "$receiver" 2>/dev/null || true
}

measure_first_watchable() {
  local file asset began
  file=$(clip watch.mp4 1280x720 "$clip_seconds" 3M)
  for _ in $(seq "$rounds"); do
    asset=$(upload "$file"); began=$(now)
    wait_for "$asset" .watchable
    sample first-watchable "$(minus "$(now)" "$began")" 2 seconds lower 1
    wait_for "$asset" '.state == "ready"'
  done
}

# The same rungs on both sides, all encoded: a source whose keyframes are too far apart cannot be passed through.
measure_transcode() {
  local file=$work/transcode.mp4 asset before ours_rss peer folder names
  ffmpeg -nostdin -v error -y -f lavfi -i "testsrc2=size=1280x720:rate=30:duration=$clip_seconds" \
    -f lavfi -i "sine=sample_rate=48000:duration=$clip_seconds" -c:v libx264 -preset ultrafast -g 300 -c:a aac "$file"
  for _ in $(seq "$rounds"); do
    before=$(cpu_with_children "$pid")
    asset=$(upload "$file")
    ours_rss=$(peak_of_workers "$asset")
    sleep 1
    ours=$(minus "$(cpu_with_children "$pid")" "$before")
    peer=$(ffmpeg_ladder "$file")
    sample transcode-cpu "$ours" "${peer% *}" "CPU seconds" lower 1.05
    sample transcode-rss "$ours_rss" "${peer#* }" MiB lower 1
  done
  folder=$(view "$asset")
  for names in v720:1280x720 v480:854x480 v360:640x360 v240:426x240; do
    sample "transcode-ssim-${names%:*}" "$(ssim "${folder}${names%:*}/index.m3u8" "$file" "${names#*:}")" \
      "$(ssim "$work/peer-${names%:*}.mp4" "$file" "${names#*:}")" SSIM higher 0.998
  done
}

# The largest peak of a worker until ASSET is ready.
peak_of_workers() {
  local most=0 process rss
  until api "$url/api/v1/assets/$1" | jq -e '.state == "ready"' > /dev/null; do
    for process in $(pgrep -P "$pid" || true); do
      rss=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$process/status" 2>/dev/null || echo 0)
      [ "${rss:-0}" -gt "$most" ] && most=$rss
    done
    sleep 0.1
  done
  echo "$most"
}

# CPU seconds and peak MiB of one ffmpeg that makes the ladder of `ladder::choose` for 720p at 30 frames a second.
ffmpeg_ladder() {
  local x264="-c:v libx264 -preset veryfast -g 60 -keyint_min 60 -sc_threshold 0"
  # shellcheck disable=SC2086
  /usr/bin/time -f '%U %S %M' -o "$work/time" ffmpeg -nostdin -v error -y -i "$1" -filter_complex \
    "[0:v]split=4[a][b0][c0][d0];[b0]scale=854:480:flags=bilinear[b];[c0]scale=640:360:flags=bilinear[c];[d0]scale=426:240:flags=bilinear[d]" \
    -map '[a]' $x264 -b:v 2800k -maxrate 4200k -bufsize 5600k "$work/peer-v720.mp4" \
    -map '[b]' $x264 -b:v 1200k -maxrate 1800k -bufsize 2400k "$work/peer-v480.mp4" \
    -map '[c]' $x264 -b:v 700k -maxrate 1050k -bufsize 1400k "$work/peer-v360.mp4" \
    -map '[d]' $x264 -b:v 400k -maxrate 600k -bufsize 800k "$work/peer-v240.mp4" \
    -map 0:a -c:a aac -b:a 128k "$work/peer-a.mp4"
  awk '{ printf "%.2f %.0f", $1 + $2, $3 / 1024 }' "$work/time"
}

ssim() { # MADE SOURCE SIZE
  local tls=()
  case "$1" in https:*) tls=(-ca_file "$ca") ;; esac
  ffmpeg -nostdin -v info "${tls[@]}" -i "$1" -i "$2" -filter_complex \
    "[1:v]scale=${3/x/:}:flags=bicubic[s];[0:v][s]ssim" -f null - 2>&1 | sed -n 's/.*SSIM.* All:\([0-9.]*\).*/\1/p'
}

measure_deliver() {
  local file asset folder wanted name port nginx round
  file=$(clip deliver.mp4 1920x1080 12 12M)
  asset=$(upload "$file"); wait_for "$asset" '.state == "ready"'
  folder=$(view "$asset")
  mkdir -p "$work/www"
  for name in v1080 v720 v480 v360 v240; do curl -sS --fail --cacert "$ca" -o "$work/www/$name.m4s" "$folder$name/0.m4s"; done
  port=$(start_nginx)
  nginx=$(cat "$work/nginx.started")
  started+=("$nginx")
  for round in $(seq "$rounds"); do
    for wanted in 200 2048 6144; do
      name=$(nearest "$wanted")
      sample "deliver-${wanted}k" "$(cpu_per_gb "$pid" "$folder$name/0.m4s" "$name")" \
        "$(cpu_per_gb "$nginx" "https://127.0.0.1:$port/$name.m4s" "$name")" "CPU seconds per GB" lower 0.8
    done
    sample deliver-connections "$(connections "${url}/healthz")" "$(connections "https://127.0.0.1:$port/small")" \
      "TLS connections per second" higher 1
  done
}

# The rung whose first segment is nearest to that many KB.
nearest() {
  find "$work/www" -name '*.m4s' -printf '%s %f\n' | awk -v wanted="$(($1 * 1024))" '
    { distance = $1 > wanted ? $1 / wanted : wanted / $1 }
    !best || distance < least { least = distance; best = $2 }
    END { sub(/\.m4s$/, "", best); print best }'
}

start_nginx() {
  local port
  port=$(shuf -i 20000-50000 -n1)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$work/nginx.key" -out "$work/nginx.pem" 2>/dev/null
  echo ok > "$work/www/small"
  chmod -R a+rX "$work"
  cat > "$work/nginx.conf" <<CONFIG
worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.log; daemon off; user root;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; open_file_cache max=100;
  server { listen 127.0.0.1:$port ssl; ssl_certificate $work/nginx.pem; ssl_certificate_key $work/nginx.key;
    ssl_protocols TLSv1.3; root $work/www; } }
CONFIG
  nginx -p "$work" -c "$work/nginx.conf" > /dev/null 2>&1 &
  echo $! > "$work/nginx.started"
  for _ in $(seq 100); do ss -ltn | grep -q "127.0.0.1:$port " && break; sleep 0.05; done
  echo "$port"
}

cpu_per_gb() { # PID ADDRESS NAME
  local before requests size
  size=$(stat -c %s "$work/www/$3.m4s")
  wrk -t1 -c8 -d1s "$2" > /dev/null
  before=$(cpu "$1")
  requests=$(wrk -t1 -c8 -d"${seconds}s" "$2" | awk '/requests in/ { print $1 }')
  per "$(minus "$(cpu "$1")" "$before")" "$(awk -v n="$requests" -v size="$size" 'BEGIN { print n * size / 1e9 }')"
}

# Full TLS 1.3 handshakes a second, one after the other, each with one small answer.
connections() {
  openssl s_time -connect "$(sed 's|https://\([^/]*\)/.*|\1|' <<< "$1")" -new -time "$seconds" 2>/dev/null |
    awk '/real seconds/ { print $1 / $4 }'
}
