"""Runs a command beside a SeaweedFS of its own, and stops the server afterwards.

    python3 tools/with_seaweedfs.py [--bucket NAME] COMMAND [ARGUMENT...]

The server listens on free loopback ports, keeps its data in a temporary folder that goes away with it, and has
one user. The command finds it by AWS's own environment variables. The exit code is the command's.

Python's standard library only; the server is `.servers/venv/bin/weed` (tools/servers.sh puts it there).
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / ".servers" / "venv" / "bin"
HOST = "127.0.0.1"
# A server on a busy machine of two cores needs 3 to 10 seconds; a minute means that it will never come.
START_SECONDS = 60
ACCESS_KEY = "lakesync"
SECRET_KEY = "only-on-loopback"
REGION = "us-east-1"


class ServerError(Exception):
    """The server did not come up; the text says why and where its log was."""


class Server(typing.NamedTuple):
    """Where a running server is found."""

    endpoint: str
    pid: int


def free_ports(count):
    """Gives ports that nobody listens on. They are below 32768, where no outgoing connection takes its port from."""
    ports = []
    with contextlib.ExitStack() as held:
        # A different start for each process, so that two servers started at once do not try the same ports.
        candidate = 12000 + (os.getpid() * 37) % 18000
        while len(ports) < count:
            candidate += 1
            probe = held.enter_context(socket.socket())
            try:
                probe.bind((HOST, candidate))
            except OSError:
                continue
            ports.append(candidate)
    return ports


def answers(endpoint):
    """Whether the S3 gateway answers at all; a refusal is an answer, since the request is not signed."""
    try:
        urllib.request.urlopen(endpoint, timeout=2).close()
    except urllib.error.HTTPError as reply:
        return reply.code < 500
    except (OSError, urllib.error.URLError):
        return False
    return True


def environment(endpoint):
    """The environment in which AWS's tools, lakesync among them, find the server and nothing else."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    own.update(
        AWS_ENDPOINT_URL=endpoint,
        AWS_ENDPOINT_URL_S3=endpoint,
        AWS_ACCESS_KEY_ID=ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        NO_PROXY=f"{HOST},localhost",
        no_proxy=f"{HOST},localhost",
    )
    return own


def server_command(weed, folder, ports):
    """The command line of one process that is master, volume server, filer and S3 gateway."""
    master, master_rpc, volume, volume_rpc, filer, filer_rpc, s3, s3_rpc = map(str, ports)
    config = folder / "users.json"
    user = {
        "name": "lakesync",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    }
    config.write_text(json.dumps({"identities": [user]}))
    return [
        weed,
        "-logtostderr=true",
        "server",
        f"-dir={folder}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-master.port={master}",
        f"-master.port.grpc={master_rpc}",
        "-master.telemetry=false",
        # Small volumes that are not laid out in advance: the folder is as big as what is in it.
        "-master.volumeSizeLimitMB=1024",
        "-volume.max=100",
        # In bytes: a share of the disk would end all writes on a large disk with room enough.
        "-volume.minFreeSpace=64MiB",
        f"-volume.port={volume}",
        f"-volume.port.grpc={volume_rpc}",
        "-filer",
        f"-filer.port={filer}",
        f"-filer.port.grpc={filer_rpc}",
        f"-filer.localSocket={folder}/filer.sock",
        "-s3",
        f"-s3.port={s3}",
        f"-s3.port.grpc={s3_rpc}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.localSocket={folder}/s3.sock",
        f"-s3.config={config}",
    ]


def stop(process):
    """Ends the server at once: its data is thrown away, and saying goodbye takes it ten seconds."""
    if process.poll() is None:
        process.kill()
        process.wait()


def make_bucket(endpoint, bucket):
    """Makes a bucket, with the boto3 of the virtual environment; tries again while the volumes come up."""
    program = (
        "import sys, time, boto3\n"
        "s3 = boto3.client('s3')\n"
        "for attempt in range(40):\n"
        "    try:\n"
        "        s3.create_bucket(Bucket=sys.argv[1])\n"
        "        s3.put_object(Bucket=sys.argv[1], Key='probe', Body=b'up')\n"
        "        s3.delete_object(Bucket=sys.argv[1], Key='probe')\n"
        "        break\n"
        "    except s3.exceptions.BucketAlreadyOwnedByYou:\n"
        "        break\n"
        "    except Exception as error:\n"
        "        last = error\n"
        "        time.sleep(0.5)\n"
        "else:\n"
        "    sys.exit(f'the bucket cannot be made: {last}')\n"
    )
    subprocess.run([BIN / "python", "-c", program, bucket], check=True, env=environment(endpoint))


@contextlib.contextmanager
def seaweedfs(bucket):
    """A running server with one bucket; gives its endpoint and the id of its process."""
    weed = BIN / "weed"
    if not weed.exists():
        raise ServerError(f"{weed} is missing; run tools/servers.sh")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="lakesync-seaweedfs-"))
    process = None
    try:
        ports = free_ports(8)
        endpoint = f"http://{HOST}:{ports[6]}"
        log_path = folder / "log"
        with open(log_path, "wb") as log:
            process = subprocess.Popen(
                server_command(str(weed), folder, ports),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                # Ctrl-C goes to the command; the server is stopped after it.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not answers(endpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                tail = log_path.read_text(errors="replace").splitlines()[-15:]
                raise ServerError("SeaweedFS did not start; the end of its log:\n" + "\n".join(tail))
            time.sleep(0.1)
        make_bucket(endpoint, bucket)
        yield Server(endpoint, process.pid)
    finally:
        if process is not None:
            stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    """Reads the command line and runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bucket", default="demo", help="the bucket to make (default: demo)")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if not asked.command:
        parser.error("a COMMAND is needed")
    # A TERM must run the `finally` above as a Ctrl-C does, or the server would outlive us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with seaweedfs(asked.bucket) as server:
            return subprocess.run(asked.command, env=environment(server.endpoint), check=False).returncode
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
