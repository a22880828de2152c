"""Measures what a continuous export costs: the time from a commit to `success`, and a thousand exports at rest.

    .servers/venv/bin/python benches/continuous/run.py [--only latency,idle] [--program FILE]
        [--files 100000] [--commits 30] [--exports 1000] [--repositories 10] [--seconds 60] [--check]

latency: one file of a tree of so many files changes with each commit; from the moment before the branch moves to the
one at which the store has answered the `success` of that commit, with the parts of that time as the program's own log
tells them. idle: so many exports of so many repositories under one `lakesync serve`; once all are out, what they use in
so many seconds in which nothing happens. `--check` ends with 1 where a number is above what is asked for. The server is
a SeaweedFS of its own. `make bench-continuous` prepares all that it needs.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import idle
import latency

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import with_seaweedfs  # noqa: E402  (it lies in another folder)

BUCKET = "bench"
PARTS = {"latency": latency.run, "idle": idle.run}


def arguments():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="latency,idle", help="parts, separated by commas")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "lakesync")
    parser.add_argument("--files", type=int, default=100_000, help="files of the tree of latency")
    parser.add_argument("--commits", type=int, default=30, help="commits that are measured")
    parser.add_argument("--exports", type=int, default=1000, help="exports at rest")
    parser.add_argument("--repositories", type=int, default=10, help="repositories that they are of")
    parser.add_argument("--seconds", type=float, default=60, help="how long to look at them")
    parser.add_argument("--check", action="store_true", help="fail where too much is used")
    asked = parser.parse_args()
    asked.parts = asked.only.split(",")
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}, and not {', '.join(sorted(unknown))}")
    if not asked.program.is_file():
        parser.error(f"{asked.program} is not there; build it, or name another with --program")
    asked.program = asked.program.resolve()
    return asked


def main():
    """Runs the parts that were asked for, each with a server and a home of its own."""
    asked = arguments()
    too_much = []
    for part in asked.parts:
        with with_seaweedfs.seaweedfs(BUCKET) as server, tempfile.TemporaryDirectory() as home:
            env = with_seaweedfs.environment(server.endpoint) | {
                "HOME": home,
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_AUTHOR_NAME": "bench",
                "GIT_AUTHOR_EMAIL": "bench@localhost",
                "GIT_COMMITTER_NAME": "bench",
                "GIT_COMMITTER_EMAIL": "bench@localhost",
            }
            env = {name: value for name, value in env.items() if not name.startswith(("LAKESYNC_", "XDG_"))}
            os.makedirs(home, exist_ok=True)
            too_much += PARTS[part](asked, env, pathlib.Path(home), BUCKET)
    for line in too_much:
        print(f"too much: {line}")
    return 1 if asked.check and too_much else 0


if __name__ == "__main__":
    sys.exit(main())
