"""Compares what lies under an export path with a folder, byte for byte: boto3, no code of lakesync.

    compare_tree.py ENDPOINT BUCKET EXPORT_PREFIX FOLDER

What belongs to lakesync (`_STATUS_*`, `_lakesync/`) is left out, and so is a `.git` in the folder. Exits with 0 and a
line of how much is equal, or with 1 and a line for each difference.
"""

import concurrent.futures
import pathlib
import sys

import boto3
import botocore.config

WORKERS = 16


def objects(s3, bucket, prefix):
    """The path of every object that is not lakesync's own."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            path = item["Key"][len(prefix) :]
            if not path.startswith(("_STATUS_", "_lakesync/")):
                yield path


def files(folder):
    """The path of every file below a folder."""
    for path in folder.rglob("*"):
        below = path.relative_to(folder)
        if path.is_file() and below.parts[0] != ".git":
            yield str(below)


def main():
    """Compares, and says what differs."""
    endpoint, bucket, prefix, folder = sys.argv[1:]
    folder = pathlib.Path(folder)
    config = botocore.config.Config(max_pool_connections=WORKERS, s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=endpoint, config=config)

    def compare(path):
        """The bytes of both, and whether they are equal."""
        expected = (folder / path).read_bytes()
        found = s3.get_object(Bucket=bucket, Key=prefix + path)["Body"].read()
        return path, len(expected), found == expected

    there, wanted = set(objects(s3, bucket, prefix)), set(files(folder))
    wrong = [f"{path}: missing in the bucket" for path in sorted(wanted - there)]
    wrong += [f"{path}: in the bucket, not in the folder" for path in sorted(there - wanted)]
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        compared = list(pool.map(compare, sorted(there & wanted)))
    wrong += [f"{path}: has other bytes" for path, _, equal in compared if not equal]
    for line in wrong:
        print(line)
    if wrong:
        return 1
    print(f"{len(compared)} objects, {sum(size for _, size, _ in compared)} bytes, all equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
