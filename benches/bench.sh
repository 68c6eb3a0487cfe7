#!/usr/bin/env bash
# Measures mediakeep beside its peers, in interleaved rounds on loopback; prints a table and writes target/bench/summary.json.
# Usage: benches/bench.sh [--quick] [idle upload first-watchable transcode deliver]
# Needs: ffmpeg, jq, curl, openssl; for deliver also nginx and wrk. MEDIAKEEP_BIN names the binary (a release build).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. benches/node.sh
. benches/measures.sh

rounds=3 seconds=5 clip_seconds=60 upload_mib=512
chosen=()
for argument in "$@"; do
  case "$argument" in
    --quick) seconds=2 clip_seconds=12 upload_mib=64 ;;
    idle|upload|first-watchable|transcode|deliver) chosen+=("$argument") ;;
    *) echo "unknown: $argument (there are: --quick idle upload first-watchable transcode deliver)" >&2; exit 2 ;;
  esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=(idle upload first-watchable transcode deliver)

node=${MEDIAKEEP_BIN:-target/release/mediakeep}
work=$(mktemp -d)
samples=$work/samples
: > "$samples"
started=()
finish() {
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; wait "$process" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

# One figure of one round: NAME OURS PEER UNIT BETTER(lower|higher) BAR(largest or smallest good ratio).
sample() { printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >> "$samples"; }

start_node
for measure in "${chosen[@]}"; do
  echo "== $measure (load $(cut -d' ' -f1 /proc/loadavg))" >&2
  "measure_${measure//-/_}"
done

mkdir -p target/bench
jq -Rn --arg load "$(cut -d' ' -f1 /proc/loadavg)" -f benches/summary.jq "$samples" > target/bench/summary.json
jq -r '["name", "ours", "peer", "ratio", "spread", "bar", "verdict", "unit"], (.[] |
  [.name, .ours, .peer, .ratio, .spread, .bar, .verdict, .unit]) | map(tostring) | @tsv' target/bench/summary.json |
  column -t -s $'\t'
