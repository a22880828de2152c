#!/usr/bin/env bash
# Checks the dependencies: which are banned, under which licences they stand, where they come from (deny.toml).
#
#   tools/audit.sh               bans, licences, sources: needs nothing but the crates
#   tools/audit.sh advisories    known vulnerabilities: needs the advisory database on GitHub
set -euo pipefail
. "$(dirname "$0")/common.sh"
need cargo cc

CARGO_DENY=0.20.2
deny=.servers/bin/cargo-deny
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $CARGO_DENY" ]; then
    echo "audit: building cargo-deny $CARGO_DENY (a few minutes, once)"
    quietly cargo install --quiet --locked --force --root .servers --version "$CARGO_DENY" cargo-deny
fi
if [ "$#" = 0 ]; then
    set -- bans licenses sources
fi
"$deny" --locked check "$@"
