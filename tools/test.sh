#!/usr/bin/env bash
# All that CI asks for, in the order in which it fails soonest.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc git python3 go flock

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    tools/deps.sh
fi
# The web page is tested in a browser, and no test is skipped.
need chromedriver
tools/servers.sh
tools/lint.sh

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Counts tests over all the test programs; cargo counts each alone.
counted() {
    awk '/^test result:/ { for (i = 2; i <= NF; i++) { if ($i ~ /^passed/) passed += $(i - 1); if ($i ~ /^failed/) failed += $(i - 1) } }
         END { printf "%d passed, %d failed\n", passed, failed }' "$log"
}

failed=no
echo '== tests'
cargo test --locked --no-fail-fast --lib --bins --tests 2>&1 | tee -a "$log" || failed=yes
echo '== examples in the documentation'
cargo test --quiet --locked --doc 2>&1 | tee -a "$log" || failed=yes
if compgen -G 'benches/*.rs' >/dev/null; then
    echo '== benches, once each'
    cargo test --quiet --locked --bench '*' 2>&1 | tee -a "$log" || failed=yes
fi
tools/docs.sh || failed=yes

echo
echo "== summary (${SECONDS} s)"
counted
[ "$failed" = no ] || die 'something above failed'
