#!/usr/bin/env bash
# Installs the Debian packages that the tests need, those only that are missing; says nothing when all are there.
set -euo pipefail
. "$(dirname "$0")/common.sh"

# fuse3 and rsync: mount and checkout tests; chromium: the web page's tests; faketime: clocks that jump; systemd: the
# lint of its units.
packages=(fuse3 rsync chromium chromium-driver faketime systemd)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "this is no Debian or Ubuntu; install the like of these by hand: ${packages[*]}"
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    die "Debian packages are missing; run: sudo apt-get update && sudo apt-get install -y ${missing[*]}"
fi
echo "deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Another apt may be running (unattended upgrades, a second checkout): wait for it, but not for ever.
wait_for_lock=(-o DPkg::Lock::Timeout=300)
quietly apt-get -qq "${wait_for_lock[@]}" update
quietly apt-get -qq -y --no-install-recommends "${wait_for_lock[@]}" install "${missing[@]}"
