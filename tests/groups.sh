#!/usr/bin/env bash
# Runs the test groups in order, fast ones first, and prints the minutes of each against its budget (a cold cache on two
# cores). A group that fails does not hide the others. Usage: tests/groups.sh [GROUP ...]
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

declare -A budget=([build]=15 [unit]=5 [sim]=5 [browser]=5 [corpus]=10 [kills]=5 [cluster]=10 [backup]=5)
order=(build unit sim browser corpus kills cluster backup)
slow='binary(sim) | binary(kills) | binary(damaged) | binary(~power_cut) | binary(corpus) | binary(~cluster_) | binary(soak) | binary(~backup)'
export MEDIAKEEP_BIN=${MEDIAKEEP_BIN:-$PWD/target/debug/mediakeep}

group_build() {
  # The tests need the binary, so it is built with them; a `cargo build` of its own would unify other features and
  # compile the dependencies twice.
  setup/setup.sh && setup/console.sh && cargo nextest run --workspace --locked --no-run
}
group_unit() { cargo fmt --all --check && cargo nextest run --workspace --locked -E "not ($slow)"; }
# A thousand seeded worlds, and planted faults that they must find.
group_sim() { cargo nextest run --workspace --locked -E 'binary(sim)' --no-tests=fail; }
group_browser() { npm --prefix node/console test; }
group_corpus() { cargo nextest run --workspace --locked -E 'binary(corpus)' --no-tests=fail; }
group_kills() { cargo nextest run --workspace --locked -E 'binary(kills) | binary(damaged) | binary(~power_cut)' --no-tests=fail; }
group_cluster() { cargo nextest run --workspace --locked -E 'binary(~cluster_) | binary(soak)' --no-tests=fail; }

# Backups to folders, to an SFTP server and to a store that locks; restores from there.
group_backup() { setup/stores.sh && cargo nextest run --workspace --locked -E 'binary(~backup)' --no-tests=fail; }

wanted=("$@")
[ $# -eq 0 ] && wanted=("${order[@]}")
passed=0 failed=0 table=""
for group in "${wanted[@]}"; do
  [ -n "${budget[$group]:-}" ] || { echo "unknown group: $group (there are: ${order[*]})" >&2; exit 2; }
  echo "== $group (budget ${budget[$group]} min)"
  start=$SECONDS
  if "group_$group"; then result=ok; passed=$((passed + 1)); else result=FAILED; failed=$((failed + 1)); fi
  took=$((SECONDS - start))
  [ "$took" -gt $((budget[$group] * 60)) ] && result+=" over budget"
  table+=$(printf '%-8s %3d:%02d of %2d min  %s' "$group" $((took / 60)) $((took % 60)) "${budget[$group]}" "$result")$'\n'
  [ "$group" = build ] && [ "$failed" -gt 0 ] && break
done
printf '\n%s' "$table"
echo "groups: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
