#!/usr/bin/env bash
# Puts the test servers into .servers/, in pinned versions; says nothing when they are all there.
#
#   tools/servers.sh             SeaweedFS, versitygw, boto3, schemathesis, shellcheck, hadolint: for tests, lints, the demo
#   tools/servers.sh --rivals    also s5cmd, rclone, awscli and b3sum: what the benches compare with
#
# Two of these at once are safe: the second waits for the first.
set -euo pipefail
. "$(dirname "$0")/common.sh"
need python3 go flock

rivals=no
case ${1-} in
    '') ;;
    --rivals) rivals=yes ;;
    *) die "unknown argument $1; tools/servers.sh knows --rivals" ;;
esac

VERSITYGW=v1.8.0
B3SUM=1.8.7

mkdir -p .servers/bin .servers/stamps
exec 9>.servers/lock
flock 9

# Whether the stamp holds this text, which names every version that was installed.
stamped() {
    [ -f ".servers/stamps/$1" ] && [ "$(cat ".servers/stamps/$1")" = "$2" ]
}

stamp() {
    printf '%s\n' "$2" >".servers/stamps/$1"
}

venv() {
    # A virtual environment dies with the Python that it was made from.
    .servers/venv/bin/python -c '' 2>/dev/null && return
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null ||
        die "python3 is older than 3.9 or has no venv module; $(how_to_get python3)"
    rm -rf .servers/venv .servers/stamps/pip-*
    quietly python3 -m venv .servers/venv
}

# Installs the packages of a requirements file, unless this very file was installed before.
pip_install() {
    local name=$1 file=$2 text
    text=$(cat "$file")
    stamped "pip-$name" "$text" && return
    echo "servers: installing $name from PyPI"
    quietly .servers/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$file"
    stamp "pip-$name" "$text"
}

venv
pip_install servers tools/requirements.txt

if ! stamped versitygw "$VERSITYGW" || ! [ -x .servers/bin/versitygw ]; then
    echo "servers: building versitygw $VERSITYGW"
    GOBIN=$PWD/.servers/bin quietly go install "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW"
    stamp versitygw "$VERSITYGW"
fi

[ "$rivals" = yes ] || exit 0
need cargo cc
pip_install rivals tools/requirements-rivals.txt

if ! stamped b3sum "$B3SUM" || ! [ -x .servers/bin/b3sum ]; then
    echo "servers: building b3sum $B3SUM"
    quietly cargo install --quiet --locked --force --root .servers --version "$B3SUM" b3sum
    stamp b3sum "$B3SUM"
fi
