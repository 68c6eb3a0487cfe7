# shellcheck shell=bash
# What a node makes of a file: how soon it can be watched, and what the ladder costs beside ffmpeg.

clip() { # NAME SIZE SECONDS BITRATE
  [ -s "$clips/$1" ] || ffmpeg -nostdin -v error -y -f lavfi -i "testsrc2=size=$2:rate=30:duration=$3" \
    -f lavfi -i "sine=sample_rate=48000:duration=$3" -vf noise=alls=12:allf=t -pix_fmt yuv420p -c:v libx264 \
    -preset ultrafast -g 60 -b:v "$4" -minrate "$4" -maxrate "$4" -bufsize "$4" -c:a aac "$clips/$1"
  echo "$clips/$1"
}

measure_first_watchable() {
  local file asset began
  file=$(clip watch.mp4 1280x720 "$clip_seconds" 3M)
  need_node hot 1
  for _ in $(seq "$rounds"); do
    asset=$(upload "$file"); began=$(now)
    wait_for "$asset" .watchable
    sample first-watchable "$(minus "$(now)" "$began")" 2 seconds lower 1
    # The next one has the machine to itself.
    forget "$asset"
    sleep "$settle"
  done
}

# The same rungs on both sides, all encoded: a source whose keyframes are too far apart cannot be passed through.
measure_transcode() {
  local file=$work/transcode.mp4 asset before ours ours_rss peer folder names
  need_node hot 1
  ffmpeg -nostdin -v error -y -f lavfi -i "testsrc2=size=1280x720:rate=30:duration=$clip_seconds" \
    -f lavfi -i "sine=sample_rate=48000:duration=$clip_seconds" -c:v libx264 -preset ultrafast -g 300 -c:a aac "$file"
  for _ in $(seq "$rounds"); do
    before=$(cpu_with_workers "$pid")
    asset=$(upload "$file")
    ours_rss=$(peak_of_workers "$asset")
    sleep 1
    ours=$(minus "$(cpu_with_workers "$pid")" "$before")
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
    for process in $(pgrep -P "$(pgrep -d, -P "$pid" || echo 0)" || true); do
      rss=$(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/$process/status" 2>/dev/null || echo 0)
      [ "${rss:-0}" -gt "$most" ] && most=$rss
    done
    # Each question is a connection of its own, which the node's processor time pays for.
    sleep 0.5
  done
  echo "$most"
}

# CPU seconds and peak MiB of one ffmpeg that makes the ladder of `ladder::choose` for 720p at 30 frames a second, with what
# x264 is told on both sides (each rendition says it in its first SEI message): preset, group, bitrate, buffer of one second.
ffmpeg_ladder() {
  local x264="-c:v libx264 -preset veryfast -g 60 -keyint_min 60 -sc_threshold 0"
  # shellcheck disable=SC2086
  /usr/bin/time -f '%U %S %M' -o "$work/time" ffmpeg -nostdin -v error -y -i "$1" -filter_complex \
    "[0:v]split=4[a][b0][c0][d0];[b0]scale=854:480:flags=bilinear[b];[c0]scale=640:360:flags=bilinear[c];[d0]scale=426:240:flags=bilinear[d]" \
    -map '[a]' $x264 -b:v 2800k -maxrate 2800k -bufsize 2800k "$work/peer-v720.mp4" \
    -map '[b]' $x264 -b:v 1200k -maxrate 1200k -bufsize 1200k "$work/peer-v480.mp4" \
    -map '[c]' $x264 -b:v 700k -maxrate 700k -bufsize 700k "$work/peer-v360.mp4" \
    -map '[d]' $x264 -b:v 400k -maxrate 400k -bufsize 400k "$work/peer-v240.mp4" \
    -map 0:a -c:a aac -ac 2 -b:a 128k "$work/peer-a.mp4"
  awk '{ printf "%.2f %.0f", $1 + $2, $3 / 1024 }' "$work/time"
}

ssim() { # MADE SOURCE SIZE
  local tls=()
  case "$1" in https:*) tls=(-ca_file "$ca") ;; esac
  ffmpeg -nostdin -v info "${tls[@]}" -i "$1" -i "$2" -filter_complex \
    "[1:v]scale=${3/x/:}:flags=bicubic[s];[0:v][s]ssim" -f null - 2>&1 | sed -n 's/.*SSIM.* All:\([0-9.]*\).*/\1/p'
}

