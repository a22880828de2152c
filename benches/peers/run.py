"""Runs lakesync beside s5cmd, rclone and aws: the same tree, the same server, the same machine.

    .servers/venv/bin/python benches/peers/run.py [--only many,changed] [--pairs 5] [--files 20000] [--json FILE]

Each case is measured in rounds; in a round every contender runs once, and the one that goes first changes from round
to round. A ratio is taken within a round, so that what slows the machine for a minute slows both sides of it; the
table shows the median of these ratios. Each rival runs at the best of three concurrencies, found in a short run
before; lakesync runs as it comes. After every run the keys and sizes in the bucket are compared with the tree.

Cases: many (first export of small files), changed (1 % edited, renamed or deleted), nothing (nothing changed),
big (few large files). Python's standard library, and boto3 for the listings. `make bench` prepares all that it needs.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import contenders
import trees

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))
import with_seaweedfs  # noqa: E402  (it lies in another folder)

BUCKET = "bench"
# Sizes of the run before, in which the best concurrency is found: a tenth, as long as the order is the same.
TRIAL_FILES = 2000
CASES = ("many", "changed", "nothing", "big")


def server_cpu_seconds(pid):
    """The CPU time that the server has used so far, of all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The parent of the measured program must be small: Linux counts the memory of who starts it into its peak.
METER = """
import json, os, sys, time
start = time.monotonic()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - start
cost = {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime, "peak_mib": used.ru_maxrss / 1024}
os.write(3, json.dumps([os.waitstatus_to_exitcode(status), cost]).encode())
"""


def measure(command, env, server):
    """Runs a command and gives what it cost; fails with the end of its output where it fails."""
    command = [str(word) for word in command]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as answer:
        server_before = server_cpu_seconds(server.pid)
        # A shell, only to hand the file for the answer over as number 3.
        shell = ["sh", "-c", f'exec "$@" 3<&{answer.fileno()}', "sh", sys.executable, "-I", "-S", "-c", METER]
        subprocess.run(
            [*shell, *command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[answer.fileno()],
            check=True,
        )
        answer.seek(0)
        code, cost = json.load(answer)
        if code != 0:
            output.seek(0)
            tail = output.read().decode(errors="replace").splitlines()[-10:]
            raise SystemExit(f"error: exit {code}: {' '.join(command)}\n" + "\n".join(tail))
    return cost | {"server_cpu_s": server_cpu_seconds(server.pid) - server_before}


def check_listing(server, prefix, folder):
    """Ends the bench where the bucket does not hold the tree: a fast tool that did less has not won."""
    import boto3

    credentials = {
        "aws_access_key_id": with_seaweedfs.ACCESS_KEY,
        "aws_secret_access_key": with_seaweedfs.SECRET_KEY,
        "region_name": with_seaweedfs.REGION,
    }
    s3 = boto3.client("s3", endpoint_url=server.endpoint, **credentials)
    found = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
        for item in page.get("Contents", []):
            path = item["Key"][len(prefix) :]
            if not path.startswith(("_lakesync/", "_STATUS_")):
                found[path] = item["Size"]
    expected = trees.listing(folder)
    if found != expected:
        odd = sorted(set(found.items()) ^ set(expected.items()))[:5]
        raise SystemExit(f"error: the bucket differs from the tree under {prefix}: {odd}")


class Case:
    """One case: its tree, its contenders, and its rounds."""

    def __init__(self, name, asked, work):
        self.name = name
        self.asked = asked
        self.work = work
        self.tree = trees.Tree(work / name, keep_history=name != "big")
        self.is_first_export = name in ("many", "big")
        self.contenders = []

    def build(self):
        """Makes the tree."""
        if self.name == "big":
            self.tree.add_big(4, self.asked.big_mib)
        else:
            self.tree.add_small(self.asked.files)
        self.tree.commit()

    def choose(self):
        """Makes the contenders; for each rival the best of its concurrencies."""
        mirror = not self.is_first_export
        binary = with_seaweedfs.ROOT / "target" / "release" / "lakesync"
        # Git first: it is what lakesync is for. Large files are no matter for Git, so there it is the folder alone.
        sources = ["dir"] if self.name == "big" else ["git", "dir"]
        self.contenders = [contenders.Lakesync(binary, source, self.work) for source in sources]
        for rival in self.asked.rivals:
            best = self.best_of(rival, mirror)
            print(f"  {best.name}: best at {best.concurrency}", flush=True)
            self.contenders.append(best)

    def best_of(self, rival, mirror):
        """Finds the concurrency at which a rival is fastest, on a smaller tree of the same kind."""
        trial = trees.Tree(self.work / f"{self.name}-trial-{rival}", keep_history=False)
        if self.name == "big":
            trial.add_big(1, self.asked.big_mib)
        else:
            trial.add_small(min(TRIAL_FILES, self.asked.files))
        results = []
        with with_seaweedfs.seaweedfs(BUCKET) as server:
            for candidate in contenders.rival(rival, with_seaweedfs.BIN, self.name == "big", mirror, self.work):
                prefix = f"trial-{candidate.concurrency}/"
                results.append((self.run(candidate, server, prefix, trial)["wall_s"], candidate.concurrency, candidate))
        return min(results)[2]

    def run(self, contender, server, prefix, tree):
        """One timed run, its listing compared afterwards."""
        env = with_seaweedfs.environment(server.endpoint)
        env.update(contender.environment(server.endpoint, prefix))
        cost = measure(contender.command(tree, BUCKET, prefix, server.endpoint), env, server)
        check_listing(server, prefix, tree.folder)
        return cost

    def rounds(self):
        """Measures all contenders, round by round."""
        results = {contender.name: [] for contender in self.contenders}
        if self.is_first_export:
            # A new server for each round: none pays for what an earlier one left behind.
            for number in range(self.asked.pairs):
                with with_seaweedfs.seaweedfs(BUCKET) as server:
                    self.round(number, server, results, f"round-{number}-")
            return results
        with with_seaweedfs.seaweedfs(BUCKET) as server:
            for contender in self.contenders:
                self.run(contender, server, f"{contender.name}/", self.tree)
            for number in range(self.asked.pairs):
                if self.name == "changed":
                    self.tree.change_one_percent(number)
                    self.tree.commit()
                self.round(number, server, results, "")
        return results

    def round(self, number, server, results, start):
        """Each contender once; who goes first changes."""
        turn = number % len(self.contenders)
        for contender in self.contenders[turn:] + self.contenders[:turn]:
            cost = self.run(contender, server, f"{start}{contender.name}/", self.tree)
            results[contender.name].append(cost)
            print(f"  round {number + 1}, {contender.name}: {cost['wall_s']:.2f} s", flush=True)


def median(runs, field):
    """The median of one field over all rounds."""
    return statistics.median(run[field] for run in runs)


def ratio(ours, theirs):
    """The median over the rounds of our time through theirs in the same round."""
    return statistics.median(a["wall_s"] / b["wall_s"] for a, b in zip(ours, theirs))


def table(name, results):
    """The lines to print for one case."""
    ours = [contender for contender in results if contender.startswith("lakesync")]
    head = ["contender", "wall s", "CPU s", "peak MiB", "server CPU s"] + [f"{own} / it" for own in ours]
    rows = [head]
    for contender, runs in results.items():
        cells = [contender]
        cells += [f"{median(runs, field):.2f}" for field in ("wall_s", "cpu_s", "peak_mib", "server_cpu_s")]
        cells += ["" if contender == own else f"{ratio(results[own], runs):.3f}" for own in ours]
        rows.append(cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    print(f"\n{name}: medians of {len(next(iter(results.values())))} rounds")
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def machine(names):
    """What the numbers were measured on, and with what."""

    def said(*command):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return (answer.stdout or answer.stderr).strip().splitlines()[:1]

    tools = {name: said(with_seaweedfs.BIN / name, *contenders.VERSION[name]) for name in names}
    return {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "commit": said("git", "-C", with_seaweedfs.ROOT, "describe", "--always", "--dirty"),
        "lakesync": said(with_seaweedfs.ROOT / "target" / "release" / "lakesync", "--version"),
        "weed": said(with_seaweedfs.BIN / "weed", "version"),
        "rivals": tools,
    }


def comma_list(known):
    """A parser for a list of known words with commas between them."""

    def parse(text):
        words = text.split(",")
        unknown = [word for word in words if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return words

    return parse


def main():
    """Reads the command line and runs the cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=comma_list(CASES), default=list(CASES), metavar="CASE,...")
    parser.add_argument("--pairs", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--files", type=int, default=20_000, help="small files (default: 20000)")
    parser.add_argument("--big-mib", type=int, default=256, help="size of each of the 4 large files (default: 256)")
    parser.add_argument(
        "--rivals",
        type=comma_list(contenders.RIVALS),
        default=["s5cmd", "rclone"],
        help="of s5cmd, rclone, aws (default: s5cmd,rclone; aws takes minutes for each round)",
    )
    parser.add_argument("--json", type=pathlib.Path, default=with_seaweedfs.ROOT / "target" / "peers.json")
    asked = parser.parse_args()
    report = {"machine": machine(asked.rivals), "files": asked.files, "big_mib": asked.big_mib, "cases": {}}
    with tempfile.TemporaryDirectory(prefix="lakesync-bench-") as work:
        for name in asked.only:
            print(f"{name}: making the tree", flush=True)
            case = Case(name, asked, pathlib.Path(work))
            case.build()
            case.choose()
            results = case.rounds()
            table(name, results)
            report["cases"][name] = {
                "concurrency": {contender.name: contender.concurrency for contender in case.contenders},
                "rounds": results,
            }
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nall numbers: {asked.json}")


if __name__ == "__main__":
    main()
