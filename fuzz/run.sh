#!/usr/bin/env bash
# Fuzzes the parsers that meet the network or an untrusted file, each for so many seconds. Usage: fuzz/run.sh SECONDS [TARGET ...]
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
seconds=${1:-60}
shift || true
declare -A crate=(
  [vtt]=media [playlist]=media [mp4]=media [outline]=media
  [blob]=cluster [log]=cluster [audit]=cluster [encoded]=cluster [peers]=cluster [typed_keys]=cluster
  [tokens]=node [upload_headers]=node [range]=node [certificate]=node
)
targets=("$@")
[ $# -eq 0 ] && targets=(vtt playlist mp4 outline blob log audit encoded peers typed_keys tokens upload_headers range certificate)
for target in "${targets[@]}"; do
  [ -n "${crate[$target]:-}" ] || { echo "unknown target: $target" >&2; exit 2; }
done
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz || exit 2
# Good input to start from, written by the tests that damage it.
MEDIAKEEP_CORPUS=$PWD/fuzz/corpus MEDIAKEEP_MUTATION_SECONDS=1 \
  cargo nextest run --workspace --locked -E 'test(brings_a_parser)' --status-level none --final-status-level fail || exit 2
# No nightly toolchain: the coverage that the fuzzer goes by is a pass of LLVM, which stable has, and no part of ours is
# unsafe, so there is nothing for a sanitiser (which only nightly has) to find that a panic does not tell. All features
# together, so that nothing is compiled twice.
features=$(for target in "${targets[@]}"; do echo "${crate[$target]}"; done | sort -u | paste -sd,)
for target in "${targets[@]}"; do
  cargo fuzz build "$target" -s none --features "$features" >&2 || exit 2
done
failed=0
for target in "${targets[@]}"; do
  mkdir -p "fuzz/corpus/$target"
  log=$(mktemp)
  if cargo fuzz run "$target" -s none --features "$features" -- \
    -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then result=ok; else result=FAILED failed=1; fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
  printf '%-15s %-7s %10s runs, %s\n' "$target" "$result" "${runs:-0}" "${coverage:-no coverage}"
  [ "$result" = ok ] || tail -40 "$log"
  rm -f "$log"
done
exit "$failed"
