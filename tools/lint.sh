#!/usr/bin/env bash
# Everything that can be said of the text without running it.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc python3

echo '== format'
cargo fmt --check
echo '== clippy'
cargo clippy --quiet --locked --all-targets -- -D warnings
echo '== clippy, library without its features'
cargo clippy --quiet --locked --lib --no-default-features -- -D warnings
echo '== scripts'
shellcheck=.servers/venv/bin/shellcheck
if [ -x "$shellcheck" ] || shellcheck=$(command -v shellcheck); then
    "$shellcheck" --external-sources --source-path=SCRIPTDIR tools/*.sh .ci/run
else
    echo 'shellcheck is not installed; tools/servers.sh brings it'
fi
python3 -m compileall -q tools benches tests
