# shellcheck shell=bash
# What all scripts of this folder share; they source it.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# Python's byte code goes where everything else goes that can be thrown away.
export PYTHONPYCACHEPREFIX=$PWD/.servers/pycache

# Ends the script with one line on stderr.
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Says how to get a tool that is missing.
how_to_get() {
    case $1 in
        cargo) echo 'install Rust 1.95 or later from https://rustup.rs' ;;
        cc) echo 'install a C compiler: apt-get install gcc' ;;
        git) echo 'install it: apt-get install git' ;;
        chromedriver) echo 'install it and chromium, which test the web page: sudo make deps' ;;
        python3) echo 'install Python 3.9 or later with its venv module: apt-get install python3 python3-venv' ;;
        go) echo 'install Go 1.25 or later from https://go.dev/dl/ (it builds the test server versitygw)' ;;
        systemd-analyze) echo 'install it: apt-get install systemd (tools/deps.sh does)' ;;
        flock) echo 'install it: apt-get install util-linux' ;;
        *) echo 'install it' ;;
    esac
}

# Ends the script with one line for the tools that are not there, before anything else is done.
need() {
    local tool missing=0
    for tool in "$@"; do
        if ! command -v "$tool" >/dev/null; then
            printf 'error: %s is not on PATH; %s\n' "$tool" "$(how_to_get "$tool")" >&2
            missing=1
        fi
    done
    [ "$missing" = 0 ] || exit 1
}

# Runs a command quietly; shows what it printed only where it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "this failed: $*"
    fi
    rm -f "$log"
}
