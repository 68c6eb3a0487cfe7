#!/usr/bin/env bash
# Puts an S3-compatible store that enforces Object Lock into target/stores, for the tests of backups. Only tests use it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

[ -x target/stores/bin/moto_server ] && exit 0
python3 -m venv target/stores
target/stores/bin/pip install -q 'moto[s3,server]>=5'
