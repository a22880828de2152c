#!/usr/bin/env bash
# From a commit to success, and a thousand idle exports. Arguments go to benches/continuous/run.py.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc git python3 go flock

tools/servers.sh
cargo build --locked --release
.servers/venv/bin/python benches/continuous/run.py "$@"
