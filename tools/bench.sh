#!/usr/bin/env bash
# The benches of the rooms, then lakesync beside its rivals on one server. Arguments go to benches/peers/run.py.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc git python3 go flock

tools/servers.sh --rivals
if compgen -G 'benches/*.rs' >/dev/null; then
    cargo bench --locked --bench '*'
fi
cargo build --locked --release
.servers/venv/bin/python benches/peers/run.py "$@"
