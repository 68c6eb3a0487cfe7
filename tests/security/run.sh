#!/usr/bin/env bash
# Attacks one real node with other people's tools: one line for each, and an exit code that says whether all passed.
# Usage: tests/security/run.sh [CHECK ...]   (checks: headers tls sslyze schema injection)
set -uo pipefail
here=$(dirname "$(readlink -f "$0")")
cd "$here/../.."
tools=$here/../../target/security
mkdir -p "$tools"
[ -x "$tools/venv/bin/sslyze" ] && [ -x "$tools/venv/bin/schemathesis" ] || {
  python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install -q 'schemathesis>=4' sslyze
} || exit 2
command -v testssl >/dev/null && command -v sqlmap >/dev/null || {
  apt-get install -y -q --no-install-recommends testssl.sh sqlmap >"$tools/apt.log" 2>&1
} || exit 2
export PATH=$tools/venv/bin:$PATH

folder=$(mktemp -d)
coproc NODE { exec "${MEDIAKEEP_BIN:-$PWD/target/debug/mediakeep}" dev --dir "$folder/dev" --config "$here/node.toml" --stop-with-input 2>"$folder/log"; }
node_in=${NODE[1]} node_out=${NODE[0]} node_pid=$NODE_PID
end() { exec {node_in}>&-; wait "$node_pid" 2>/dev/null; rm -rf "$folder"; }
trap end EXIT
read -r -t 120 ready <&"$node_out" || { cat "$folder/log"; echo "the node did not start"; exit 2; }
field() { python3 -c 'import json,sys; v=json.loads(sys.argv[1]); [v:=v[int(k) if k.isdigit() else k] for k in sys.argv[2].split(".")]; print(v)' "$ready" "$1"; }
export NODE_URL CA NODE_USER NODE_PASSWORD APPLICATION NODE_PID_OF NODE_LOG=$folder/log
NODE_URL=$(field nodes.0.url) CA=$(field ca) NODE_USER=$(field username) NODE_PASSWORD=$(field password)
APPLICATION=$(field application) NODE_PID_OF=$(field nodes.0.pid)
export WORK=$tools/last
rm -rf "$WORK" && mkdir -p "$WORK"

checks=("$@")
[ $# -eq 0 ] && checks=(headers tls sslyze schema injection)
failed=0
for check in "${checks[@]}"; do
  start=$SECONDS
  if line=$("$here/$check" 2>"$WORK/$check.err"); then result=ok; else result=FAILED; failed=1; fi
  kill -0 "$NODE_PID_OF" 2>/dev/null || { result="FAILED (the node died)"; failed=1; }
  printf '%-10s %4ds  %-7s %s\n' "$check" $((SECONDS - start)) "$result" "${line##*$'\n'}"
done
exit $failed
