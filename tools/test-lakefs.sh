#!/usr/bin/env bash
# The tests of lakeFS on a real server: the program at LAKEFS, started on loopback with a throw-away folder, once for
# each block store. Arguments are names of tests; without any, all of `lakefs` run.
set -euo pipefail
# Before the folder changes: a path that was typed is meant from where it was typed.
lakefs=${LAKEFS:+$(realpath -- "$LAKEFS")}
. "$(dirname "$0")/common.sh"
need cargo cc python3 go flock setpriv

[ -n "$lakefs" ] || die 'say where the lakeFS program is: make test-lakefs LAKEFS=/path/to/lakefs'
[ -f "$lakefs" ] && [ -x "$lakefs" ] || die "LAKEFS names $lakefs, which is no program"
tools/servers.sh
echo "== lakeFS tests on $("$lakefs" --version 2>&1 | head -n 1)"
export LAKESYNC_TEST_LAKEFS=$lakefs
[ $# -gt 0 ] || set -- lakefs
cargo test --locked --test it -- "$@"
