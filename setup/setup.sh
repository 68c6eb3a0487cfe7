#!/usr/bin/env bash
# Gets the machine ready to build, run and test mediakeep on Debian 12 with Rust and Node.js. Safe to run again: it
# installs only what is missing. Called by the recipes that need it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

install_system_packages() {
  local missing=()
  while read -r package; do
    case "$package" in ''|'#'*) continue ;; esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done < setup/packages.txt
  [ ${#missing[@]} -eq 0 ] && return
  echo "Installing ${#missing[@]} system packages: ${missing[*]}" >&2
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

install_cargo_tools() {
  command -v cargo-nextest >/dev/null 2>&1 && return
  echo "Installing cargo-nextest (once, some minutes)" >&2
  cargo install --quiet --locked cargo-nextest
}

install_node_modules() {
  local lock=node/console/package-lock.json stamp=node/console/node_modules/.installed
  [ -f "$lock" ] || return 0
  cmp -s "$lock" "$stamp" && return
  echo "Installing the console's packages" >&2
  npm --prefix node/console ci --no-audit --no-fund --loglevel=error
  cp "$lock" "$stamp"
}

install_system_packages
install_cargo_tools
install_node_modules
