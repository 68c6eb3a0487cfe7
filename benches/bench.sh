#!/usr/bin/env bash
# Measures mediakeep beside its peers, in interleaved rounds on loopback; prints a table and writes target/bench/summary.json.
# Usage: benches/bench.sh [--quick] [NAME...], by default every measurement of `all`.
# Needs: ffmpeg, jq, curl, openssl, nginx, wrk, time, etcd, Node.js, cargo. MEDIAKEEP_BIN names the binary (a release build).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. benches/node.sh
. benches/media.sh
. benches/serving.sh
. benches/agreement.sh
. benches/scale.sh

all=(idle upload deliver first-frame first-watchable transcode)
# These take longer, need more disk, or need several nodes, and are run when named.
named=(one-voter metadata failover scale)
rounds=3 seconds=5 clip_seconds=60 upload_mib=512 settle=5 scale_fewer=100000 scale_more=1000000
chosen=()
for argument in "$@"; do
  case " --quick ${all[*]} ${named[*]} " in
    *" $argument "*) ;;
    *) echo "unknown: $argument (there are: --quick ${all[*]} ${named[*]})" >&2; exit 2 ;;
  esac
  if [ "$argument" = --quick ]; then
    seconds=2 clip_seconds=12 upload_mib=128 settle=2 scale_fewer=10000 scale_more=100000
  else
    chosen+=("$argument")
  fi
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${all[@]}")

node=${MEDIAKEEP_BIN:-target/release/mediakeep}
work=$(mktemp -d)
samples=$work/samples
: > "$samples"
started=() note=
end() { kill "$1" 2> /dev/null || true; wait "$1" 2> /dev/null || true; }
stop_newest() { end "${started[-1]}"; unset 'started[-1]'; }
finish() {
  for process in "${started[@]}"; do end "$process"; done
  rm -rf "$work"
}
trap finish EXIT

load() { cut -d' ' -f1 /proc/loadavg; }

# One figure of one round: NAME OURS PEER UNIT BETTER(lower|higher) BAR(largest or smallest good ratio).
sample() { printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@" "$(load)" "$note" >> "$samples"; }

for measure in "${chosen[@]}"; do
  echo "== $measure (load $(load))" >&2
  "measure_${measure//-/_}"
done

mkdir -p target/bench
jq -Rn -f benches/summary.jq "$samples" > target/bench/summary.json
jq -r '["name", "ours", "peer", "ratio", "bar", "spread", "load", "verdict", "unit", "note"], (.[] |
  [.name, .ours, .peer, .ratio, .bar, .spread, .load, .verdict, .unit, .note]) | map(tostring) | @tsv' \
  target/bench/summary.json | column -t -s $'\t'
