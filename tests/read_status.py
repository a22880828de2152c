"""An independent reader of the status file: boto3 and docs/status-file.md, no code of lakesync.

    read_status.py ENDPOINT BUCKET STATUS_PREFIX EXPORT_PREFIX [--foreign PATH]... [--status-bucket BUCKET]
    read_status.py --batch

Reads the newest `_STATUS_*` file, asks that it says `success`, compares the etag and the size of every record with
the object's, and asks that nothing else lies under the export prefix but status files, `_lakesync/` and what
`--foreign` names. Then it looks again, as a reader must. Exits with 0 or 1 and one line. `--batch` reads such arguments from standard
input, a JSON array for each check, and answers each with one line: a JSON array of that code and that line.
"""

import argparse
import concurrent.futures
import json
import re
import sys

import boto3
import botocore.config
import botocore.exceptions

NAME = re.compile(r"_STATUS_\d{8}T\d{6}\.\d{3}Z\.json")
FIRST_RECORD_BYTES = 4096
WORKERS = 16


class Mismatch(Exception):
    """The export path is not what its status file says."""


def listing(s3, bucket, prefix):
    """Every key under a prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]


def newest_status(s3, bucket, prefix):
    """The key and etag of the newest status file, and its records."""
    keys = [key for key in listing(s3, bucket, prefix + "_STATUS_") if NAME.fullmatch(key[len(prefix) :])]
    if not keys:
        raise Mismatch(f"no status file under s3://{bucket}/{prefix}")
    reply = s3.get_object(Bucket=bucket, Key=max(keys))
    body = reply["Body"].read()
    if not body.endswith(b"\n"):
        raise Mismatch(f"{max(keys)}: does not end with a whole line")
    # Not splitlines(): only a line feed ends a record, whatever the paths hold.
    lines = body[:-1].split(b"\n")
    if len(lines[0]) > FIRST_RECORD_BYTES and b'"errors"' not in lines[0]:
        raise Mismatch(f"{max(keys)}: the first record has {len(lines[0])} bytes")
    return max(keys), reply["ETag"], [json.loads(line) for line in lines]


def check_record(s3, bucket, prefix, record):
    """Compares one record with its object; gives what is wrong, or None."""
    path = record["path"]
    try:
        head = s3.head_object(Bucket=bucket, Key=prefix + path)
    except botocore.exceptions.ClientError as error:
        return f"{path!r}: {error.response['Error'].get('Code')}"
    if head["ETag"].strip('"') != record["etag"]:
        return f"{path!r}: its etag is {head['ETag']}, the record says {record['etag']}"
    if "size" in record and head["ContentLength"] != record["size"]:
        return f"{path!r}: it has {head['ContentLength']} bytes, the record says {record['size']}"
    return None


def check(asked):
    """Does all that the page above says; gives the line to print."""
    config = botocore.config.Config(max_pool_connections=WORKERS, s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=asked.endpoint, config=config)
    status_bucket = asked.status_bucket or asked.bucket
    key, etag, (first, *records) = newest_status(s3, status_bucket, asked.status_prefix)
    if first["status"] != "success":
        raise Mismatch(f"{key}: {first['status']}: {first['message']}")
    paths = [record["path"] for record in records]
    if paths != sorted(set(paths), key=str.encode):
        raise Mismatch(f"{key}: the records are not sorted by the bytes of their paths, or one is there twice")
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        wrong = [
            text
            for text in pool.map(lambda record: check_record(s3, asked.bucket, asked.export_prefix, record), records)
            if text
        ]
    allowed = set(paths) | set(asked.foreign)
    start = len(asked.export_prefix)
    for object_key in listing(s3, asked.bucket, asked.export_prefix):
        path = object_key[start:]
        if path not in allowed and not path.startswith(("_STATUS_", "_lakesync/")):
            wrong.append(f"{path!r}: in the bucket, not in the status file")
    if wrong:
        raise Mismatch(f"{len(wrong)} differ: " + "; ".join(wrong[:10]))
    if newest_status(s3, status_bucket, asked.status_prefix)[:2] != (key, etag):
        raise Mismatch(f"{key}: no longer the newest, or changed, after the look")
    return f"{key}: success, commit {first['commit']}, {len(records)} objects as recorded, nothing else"


def arguments(words):
    """Reads the words of one check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("bucket")
    parser.add_argument("status_prefix", help="empty, or ending in /")
    parser.add_argument("export_prefix", help="empty, or ending in /")
    parser.add_argument("--foreign", action="append", default=[], metavar="PATH", help="an object of others")
    parser.add_argument("--status-bucket", metavar="BUCKET", help="where the status files are, if not in BUCKET")
    return parser.parse_args(words)


def judge(words):
    """Does one check; gives the exit code and the line."""
    try:
        return 0, check(arguments(words))
    except (Mismatch, KeyError, ValueError, botocore.exceptions.BotoCoreError) as error:
        return 1, f"{type(error).__name__}: {error}"
    except botocore.exceptions.ClientError as error:
        return 1, f"the store refused: {error}"


def main():
    """One check, or one for each line of standard input."""
    if sys.argv[1:] == ["--batch"]:
        for line in sys.stdin:
            print(json.dumps(judge(json.loads(line))), flush=True)
        return 0
    code, line = judge(sys.argv[1:])
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
