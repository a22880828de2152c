"""From a commit to `success`, and where the time goes."""

import datetime
import json
import re
import statistics
import subprocess
import threading
import time

import boto3
from repository import Repository

# The median that is asked for, of the whole way.
MOST_MS = 300
# A first export of a big tree on a slow machine.
PATIENCE_SECONDS = 1800

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
HEAD = re.compile(r"read the head head=(\w+) took_ms=([\d.e-]+)")
SUCCESS = re.compile(r"said how it ended run=\w+ commit=(\w+) status=success")
OVER = re.compile(r'the run is over head=(\w+) phases=(?:"([^"]*)"|(.*))')


class Log:
    """The program's own log, line by line, as it comes."""

    def __init__(self, stream):
        self.heads, self.successes, self.phases = {}, {}, {}
        self.lines = []
        self.news = threading.Condition()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        for line in stream:
            with self.news:
                self.lines.append(line)
                self._note(line)
                self.news.notify_all()
        with self.news:
            self.lines.append("(it has ended)")
            self.news.notify_all()

    def _note(self, line):
        found = STAMP.search(line)
        if not found:
            return
        at = datetime.datetime.fromisoformat(found[0].replace("Z", "+00:00")).timestamp()
        if head := HEAD.search(line):
            self.heads.setdefault(head[1], (at, float(head[2])))
        elif success := SUCCESS.search(line):
            self.successes.setdefault(success[1], at)
        elif over := OVER.search(line):
            self.phases.setdefault(over[1], dict(part.split(" ", 1) for part in (over[2] or over[3]).split(", ") if part))

    def wait(self, commit):
        """Waits until the run of a commit is over, its success said."""
        with self.news:
            done = self.news.wait_for(
                lambda: (commit in self.phases and commit in self.successes) or self.lines[-1:] == ["(it has ended)"],
                PATIENCE_SECONDS,
            )
            if not done or commit not in self.phases:
                raise SystemExit(f"error: {commit} never came out:\n" + "".join(self.lines[-20:]))


def parts_of(log, commit, moved):
    """The parts of the way of one commit, in milliseconds, in their order."""
    read_at, head_ms = log.heads[commit]
    times = {name: float(text.removesuffix(" ms")) for name, text in log.phases[commit].items()}
    # Cleaning up comes after the success, and so does the end of the last phase.
    until_finish = sum(time for name, time in times.items() if name != "finish")
    total = (log.successes[commit] - moved) * 1e3
    parts = {"wake": (read_at - moved) * 1e3 - head_ms, "read the head": head_ms}
    parts |= {name: time for name, time in times.items() if name != "finish"}
    parts["status"] = (log.successes[commit] - read_at) * 1e3 - until_finish
    return total, parts


def check_store(bucket, env, commit):
    """Asks the store itself: the newest status file says success, and of which commit."""
    s3 = boto3.client(
        "s3",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_REGION"],
    )
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="out/_STATUS_")["Contents"]
    newest = max(item["Key"] for item in listed)
    first = s3.get_object(Bucket=bucket, Key=newest, Range="bytes=0-4095")["Body"].read().split(b"\n")[0]
    record = json.loads(first)
    if (record["status"], record["commit"]) != ("success", commit):
        raise SystemExit(f"error: the log says that {commit} is out, and {newest} says {record}")


def run(asked, env, home, bucket):
    """Measures; gives what was too slow."""
    repository = Repository(home / "repository", asked.files, env)
    words = ["export", f"git:{repository.path}", "--branch", "main", "--export-path", f"s3://{bucket}/out/"]
    words += ["--continuous", "--log", "lakesync=debug"]
    program = subprocess.Popen(
        [asked.program, *words], env=env, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    totals, all_parts = [], {}
    try:
        log = Log(program.stderr)
        log.wait(repository.head())
        for number in range(asked.commits):
            commit = repository.prepare(number * 7919 % asked.files, f"changed {number}\n")
            # Longer than any burst is waited for, so that this commit is alone.
            time.sleep(1)
            moved = time.time()
            repository.move(commit)
            log.wait(commit)
            check_store(bucket, env, commit)
            total, parts = parts_of(log, commit, moved)
            totals.append(total)
            for name, value in parts.items():
                all_parts.setdefault(name, []).append(value)
    finally:
        program.terminate()
        program.wait()
    median = statistics.median(totals)
    print(f"\nlatency: {asked.commits} commits of one changed file in a tree of {asked.files} files, in ms")
    print(f"{'':16}{'median':>8}{'least':>8}{'most':>8}")
    for name, values in [("the whole way", totals), *all_parts.items()]:
        print(f"{name:16}{statistics.median(values):8.1f}{min(values):8.1f}{max(values):8.1f}")
    return [] if median <= MOST_MS else [f"{median:.0f} ms from a commit to success, and not {MOST_MS}"]
