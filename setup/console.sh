#!/usr/bin/env bash
# Builds the console into node/console/dist, unless what is there was built from the same sources.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../node/console"

fingerprint() {
  find src index.html package-lock.json vite.config.* tsconfig*.json -type f -print0 2>/dev/null |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

now=$(fingerprint)
if [ -f dist/index.html ] && [ "$(cat dist/.built-from 2>/dev/null)" = "$now" ]; then exit 0; fi
echo "Building the console" >&2
npm run --silent build >&2
echo "$now" > dist/.built-from
