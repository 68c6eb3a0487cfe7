# shellcheck shell=bash
# State at scale: memory an asset, waits of proposals and lists, also while a snapshot is taken, and the time to be ready.

measure_scale() {
  local folder=$work/scale fewer=$scale_fewer more=$scale_more small large slope
  scale "$folder" "$fewer" > /dev/null
  small=$(scale "$folder" "$fewer")
  scale "$folder" "$more" > /dev/null
  large=$(scale "$folder" "$more")
  note="$fewer to $more assets"
  slope=$(jq -n --argjson a "$small" --argjson b "$large" \
    '($b.rss_ready_bytes - $a.rss_ready_bytes) / ($b.assets - $a.assets)')
  sample scale-memory "$slope" 800 "bytes an asset" lower 1
  note="$more assets"
  for moment in quiet snapshot; do
    for what in propose list; do
      sample "scale-$what-$moment" "$(jq ".$moment.${what}_p99_ms" <<< "$large")" 50 "ms, p99" lower 1
    done
  done
  sample scale-ready "$(jq .ready_seconds <<< "$large")" 30 seconds lower 1
  note=
}

scale() { # FOLDER ASSETS
  cargo bench --quiet --locked --workspace --bench scale -- "$1" "$2" | tee -a "$work/scale.log"
}
