#!/usr/bin/env bash
# Builds the release binary and measures it beside its peers. Arguments go to benches/bench.sh.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

missing=()
for package in nginx wrk time etcd-server etcd-client bsdextrautils iproute2 procps; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  # The bench starts its own; those of the packages would take ports and time.
  for service in nginx etcd; do
    case " ${missing[*]} " in *" $service"*)
      if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet --now "$service" || true; fi ;;
    esac
  done
fi
# Compiled once, and only where it is measured beside: this takes a while.
case " $* " in *" replication "*)
  [ -x "${GARAGE:-target/peers/garage-2.5.0/bin/garage}" ] ||
    cargo install --quiet --locked --root target/peers/garage-2.5.0 garage@2.5.0 ;;
esac
cargo build --release --locked --workspace
MEDIAKEEP_BIN=$PWD/target/release/mediakeep benches/bench.sh "$@"
