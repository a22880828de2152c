#!/usr/bin/env bash
# Builds the documentation of the library; a broken link or a missing text fails.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc
echo '== documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --locked --no-deps --lib
echo "target/doc/lakesync/index.html"
