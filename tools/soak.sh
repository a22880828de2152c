#!/usr/bin/env bash
# Lets lakesync export for MINUTES while its programs are killed and its store fails, then compares bucket and trees.
#
#   tools/soak.sh MINUTES [SEED]
#
# What is done, and how it is judged, stands in tests/it/soak.rs. The program is built for release, or is the one that
# LAKESYNC_TEST_PROGRAM names.
set -euo pipefail
program=${LAKESYNC_TEST_PROGRAM:+$(realpath -- "$LAKESYNC_TEST_PROGRAM")}
. "$(dirname "$0")/common.sh"
need cargo cc git python3 go flock setpriv

minutes=${1-}
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || die 'say how long: make soak MINUTES=15'
seed=${2-}
[[ $seed =~ ^[0-9]*$ ]] || die "SEED is a whole number, and not $seed"
tools/servers.sh
if [ -z "$program" ]; then
    echo 'soak: building lakesync for release (some minutes the first time)'
    cargo build --quiet --locked --release
    program=$PWD/target/release/lakesync
fi
export LAKESYNC_TEST_PROGRAM=$program LAKESYNC_SOAK_MINUTES=$minutes LAKESYNC_SOAK_SEED=$seed
cargo test --quiet --locked --test it -- --exact --nocapture \
    soak::whatever_happens_in_the_end_the_bucket_is_the_tree
