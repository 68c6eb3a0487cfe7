#!/usr/bin/env bash
# Prints the path of a short real clip (a minute-long excerpt is not cut: the file is used as its package ships it).
# It comes from a Debian package, unpacked without installing it, and is kept in target/clips.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

package=${1:-python3-imageio}
name=${2:-cockatoo.mp4}
clip=target/clips/$name
if [ ! -s "$clip" ]; then
  mkdir -p target/clips
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  (cd "$folder" && { apt-get download -qq "$package" >/dev/null 2>&1 ||
    { apt-get update -qq && apt-get download -qq "$package" >/dev/null; }; })
  dpkg-deb -x "$folder"/*.deb "$folder/x"
  find "$folder/x" -name "$name" -exec cp {} "$clip.part" \;
  mv "$clip.part" "$clip"
fi
echo "$clip"
