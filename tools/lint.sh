#!/usr/bin/env bash
# Everything that can be said of the text without running it.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc python3 systemd-analyze

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
echo '== systemd units'
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for unit in deploy/systemd/*; do
    # The program need not be installed here for its units to be right.
    sed 's|/usr/local/bin/lakesync|/bin/true|' "$unit" >"$units/${unit##*/}"
done
# A misspelt key is only said, and ends with 0: whatever is said is wrong.
said=$(systemd-analyze verify --man=no "$units"/* 2>&1) || die "the units are wrong: $said"
[ -z "$said" ] || die "the units are wrong: ${said//"$units"/deploy/systemd}"
echo '== Dockerfile'
hadolint=.servers/venv/bin/hadolint
[ -x "$hadolint" ] || die 'hadolint is not installed; tools/servers.sh brings it'
"$hadolint" --failure-threshold info deploy/Dockerfile
