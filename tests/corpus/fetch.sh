#!/usr/bin/env bash
# Prints the path of a file out of a Debian package, which is unpacked, not installed, and kept.
# Usage: fetch.sh FOLDER PACKAGE END_OF_PATH
set -euo pipefail
folder=$1 package=$2 wanted=$3
mkdir -p "$folder"
exec 9>"$folder/$package.lock"
flock 9
if [ ! -d "$folder/$package" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && { apt-get download -qq "$package" >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get download -qq "$package" >/dev/null; }; })
  dpkg-deb -x "$work"/*.deb "$work/unpacked"
  mv "$work/unpacked" "$folder/$package"
fi
found=$(find "$folder/$package" -type f -path "*/$wanted" -print -quit)
[ -n "$found" ] || { echo "$package has no $wanted" >&2; exit 1; }
echo "$found"
