#!/usr/bin/env bash
# Shows what lakesync does, on a SeaweedFS of its own that goes away afterwards.
set -euo pipefail
. "$(dirname "$0")/common.sh"

if [ "${1-}" != --beside-the-server ]; then
    need cargo cc git python3 go flock
    tools/servers.sh
    echo 'demo: building lakesync (some minutes the first time)'
    cargo build --quiet --locked
    echo 'demo: starting SeaweedFS on loopback'
    exec .servers/venv/bin/python tools/with_seaweedfs.py --bucket demo tools/demo.sh --beside-the-server
fi

python=$PWD/.servers/venv/bin/python
read_status=$PWD/tests/read_status.py
PATH=$PWD/target/debug:$PATH
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cd "$here"

# Nothing of the user's own settings, and nothing left in the user's folders.
for name in "${!LAKESYNC_@}" "${!GIT_@}"; do unset "$name"; done
export HOME=$here/home XDG_CACHE_HOME=$here/cache XDG_CONFIG_HOME=$here/config XDG_STATE_HOME=$here/state
export GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=demo GIT_AUTHOR_EMAIL=demo@localhost GIT_COMMITTER_NAME=demo GIT_COMMITTER_EMAIL=demo@localhost

say() {
    printf '\n\033[1m%s\033[0m\n' "$*" | { if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }
}

# Shows a command, then runs it.
run() {
    printf '$ %s\n' "$*"
    "$@"
}

# A file that begins and ends as a Parquet file does, of random bytes: no two are alike.
parquet() {
    mkdir -p "$(dirname "$1")"
    { printf PAR1; head -c "$2" /dev/urandom; printf PAR1; } >"$1"
}

# Every key under the export path with its size, by an ordinary S3 client.
listing() {
    "$python" - <<'PYTHON'
import boto3
pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="demo", Prefix="published/")
for item in (item for page in pages for item in page.get("Contents", [])):
    print(f"{item['Size']:>9}  {item['Key']}")
PYTHON
}

# The newest status file, as it is.
status_file() {
    "$python" - <<'PYTHON'
import boto3
s3 = boto3.client("s3")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="demo", Prefix="published/_STATUS_")
newest = max(item["Key"] for page in pages for item in page.get("Contents", []))
print("s3://demo/" + newest)
body = s3.get_object(Bucket="demo", Key=newest)["Body"].read().decode()
print("\n".join(line.rstrip() for line in body.splitlines()))
PYTHON
}

say '1. A Git repository with a dozen files of data'
git init --quiet --initial-branch=main sales
for day in 1 2 3 4 5 6 7 8 9; do
    parquet "sales/orders/day=2026-11-0$day.parquet" $((20000 + day * 1000))
done
parquet sales/customers/all.parquet 60000
parquet sales/customers/new.parquet 5000
printf 'Orders and customers, one file a day.\n' >sales/README.md
git -C sales add .
git -C sales commit --quiet --message='The first nine days'
run git -C sales log --oneline --stat

say '2. The first export: every file is sent'
run lakesync export git:sales --export-path s3://demo/published/

say '3. What any S3 client now sees: native paths, a status file, and the folder in which lakesync keeps its ledger'
listing

say '4. The status file says which commit this is, and gives the etag of every object'
status_file

say '5. A commit more: one file edited, one renamed, one deleted, one new'
parquet sales/customers/new.parquet 7000
git -C sales mv customers/all.parquet customers/known.parquet
git -C sales rm --quiet 'orders/day=2026-11-01.parquet'
parquet 'sales/orders/day=2026-11-10.parquet' 31000
git -C sales add .
git -C sales commit --quiet --message='The tenth day'
run git -C sales show --oneline --stat --find-renames

say '6. The second export: two files are sent, the renamed one is copied inside S3, one is deleted, the rest stays'
run lakesync export git:sales --export-path s3://demo/published/

say '7. The third export finds nothing to do: at most three requests, nothing sent'
run lakesync export git:sales --export-path s3://demo/published/

say '8. What lakesync says of it, and whether the bucket holds it, byte for byte'
run lakesync status s3://demo/published/
run lakesync verify --level bytes s3://demo/published/

say '9. A reader that has never heard of lakesync (Python with boto3) agrees'
run "$python" "$read_status" "$AWS_ENDPOINT_URL" demo published/ published/

say 'Done. The server and all of this are gone now; your own first export is five lines in README.md.'
