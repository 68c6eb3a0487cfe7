#!/usr/bin/env bash
# Measures mediakeep beside its peers, in interleaved rounds on loopback; prints a table and writes target/bench/summary.json.
# Usage: benches/bench.sh [--quick] [--rounds N] [NAME...], by default every measurement of `all`. One that fails or takes
# too long is named at the end, and the others stand. Needs what setup/bench.sh installs; MEDIAKEEP_BIN names the binary
# (a release build).
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "$0")")/.."
. benches/node.sh
. benches/media.sh
. benches/serving.sh
. benches/agreement.sh
. benches/replication.sh
. benches/scale.sh
. benches/lab.sh
. benches/repair.sh

all=(idle upload deliver first-frame first-watchable transcode)
# These take longer, need more disk, several nodes or root, and are run when named.
named=(one-voter metadata failover replication scale repair node-kill)
rounds=3 seconds=5 clip_seconds=60 upload_mib=512 settle=5 scale_fewer=100000 scale_more=1000000
replication_plan="64:12:2 1:300:4" repair_mib=1920 link_mbit=200
options=() chosen=()
while [ $# -gt 0 ]; do
  case "$1" in
    --quick)
      seconds=2 clip_seconds=12 upload_mib=128 settle=2 scale_fewer=10000 scale_more=100000 replication_plan="64:4:2 1:60:4"
      repair_mib=256
      options+=("$1") ;;
    --rounds)
      rounds=${2:-}
      [[ "$rounds" =~ ^[1-9][0-9]*$ ]] || { echo "--rounds needs a number" >&2; exit 2; }
      options+=("$1" "$2"); shift ;;
    *)
      case " ${all[*]} ${named[*]} " in *" $1 "*) ;; *)
        echo "unknown: $1 (there are: --quick --rounds ${all[*]} ${named[*]})" >&2; exit 2 ;; esac
      chosen+=("$1") ;;
  esac
  shift
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${all[@]}")

node=${MEDIAKEEP_BIN:-target/release/mediakeep}
garage=${GARAGE:-target/peers/garage-2.5.0/bin/garage}
started=() note=
end() { kill "$1" 2> /dev/null || true; wait "$1" 2> /dev/null || true; }
stop_newest() { end "${started[-1]}"; unset 'started[-1]'; }
load() { cut -d' ' -f1 /proc/loadavg; }

# One figure of one round: NAME OURS PEER UNIT BETTER(lower|higher) BAR(largest or smallest good ratio).
sample() { printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@" "$(load)" "$note" >> "$samples"; }

# One measurement, in a process of its own: what it started ends with it.
if [ -n "${BENCH_FOLDER:-}" ]; then
  work=$BENCH_FOLDER/${chosen[0]} clips=$BENCH_FOLDER samples=$BENCH_FOLDER/samples.${chosen[0]}
  finish() {
    for process in "${started[@]}"; do end "$process"; done
    [ -z "${cabled:-}" ] || end_lab
    rm -rf "$work"
  }
  trap finish EXIT
  trap 'exit 143' TERM
  mkdir -p "$work"
  "measure_${chosen[0]//-/_}"
  exit
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A node takes no upload when less than 15 % and less than 20 GiB are free; the bench itself needs some more.
df --output=avail,size -B1 "$folder" | awk 'NR == 2 { exit $1 < 22 * 2^30 && $1 < 0.15 * $2 + 4 * 2^30 }' || {
  echo "too little room in $folder: set TMPDIR to a folder on a disk with more" >&2
  exit 1
}
failed=()
for measure in "${chosen[@]}"; do
  case " ${named[*]} " in *" $measure "*) limit=7200 ;; *) limit=1200 ;; esac
  echo "== $measure (load $(load))" >&2
  BENCH_FOLDER=$folder timeout -k 60 "$limit" "$0" "${options[@]}" "$measure" || {
    echo "$measure failed ($?)" >&2
    failed+=("$measure")
  }
done

mkdir -p target/bench
cat "$folder"/samples.* 2> /dev/null | jq -Rn -f benches/summary.jq > target/bench/summary.json
jq -r '["name", "ours", "peer", "ratio", "bar", "spread", "load", "verdict", "unit", "note"], (.[] |
  [.name, .ours, .peer, .ratio, .bar, .spread, .load, .verdict, .unit, .note]) | map(tostring) | @tsv' \
  target/bench/summary.json | column -t -s $'\t'
[ ${#failed[@]} -eq 0 ] || { echo "not measured, or not whole: ${failed[*]}" >&2; exit 1; }
