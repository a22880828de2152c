"""Many exports that have nothing to do."""

import collections
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.request

from repository import Repository

# What is asked for of a thousand exports.
MOST_CORE_PERCENT = 1.0
MOST_MIB = 200
PATIENCE_SECONDS = 1800
SERVING = re.compile(r"Serving (http://[\d.:]+)/")


def metrics(address):
    """The numbers that the server tells of itself."""
    text = urllib.request.urlopen(f"{address}/metrics").read().decode()
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def requests(numbers):
    """How many requests the store has got."""
    return sum(value for name, value in numbers.items() if name.startswith("lakesync_s3_requests_total"))


def wait_until_idle(address, count, program):
    """Waits until all exports are out and at rest."""
    until = time.monotonic() + PATIENCE_SECONDS
    idle = 'lakesync_exports{state="idle"}'
    while (now := metrics(address)).get(idle) != count:
        if program.poll() is not None or time.monotonic() > until:
            states = {name: value for name, value in now.items() if name.startswith("lakesync_exports")}
            raise SystemExit(f"error: not all exports came to rest: {states}")
        time.sleep(1)


class Usage:
    """What a process has used so far."""

    def __init__(self, pid):
        proc = pathlib.Path(f"/proc/{pid}")
        fields = (proc / "stat").read_text().rsplit(")", 1)[1].split()
        self.cpu_seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        self.resident_mib = int(status["VmRSS"].split()[0]) / 1024
        self.peak_mib = int(status["VmHWM"].split()[0]) / 1024
        self.wakes = {task.name: self._wakes(task) for task in (proc / "task").iterdir()}
        self.threads = int(status["Threads"])
        self.files = len(list((proc / "fd").iterdir()))

    @staticmethod
    def _wakes(task):
        """How often a thread went to sleep of its own will, and so was woken."""
        try:
            text = (task / "status").read_text()
        except FileNotFoundError:
            # It has ended since it was listed.
            return 0
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE)[1])

    def wakes_since(self, before):
        """How often any thread was woken since; threads come and go."""
        return sum(max(0, now - before.wakes.get(task, 0)) for task, now in self.wakes.items())


def run(asked, env, home, bucket):
    """Measures; gives what was too much."""
    registry = home / "exports"
    registry.mkdir()
    repositories = [Repository(home / f"repository-{number}", 10, env) for number in range(asked.repositories)]
    for number in range(asked.exports):
        repository = repositories[number % len(repositories)]
        text = f'source = "git:{repository.path}"\nbranch = "main"\nexport-path = "s3://{bucket}/out/{number}/"\n'
        (registry / f"export-{number:04}.toml").write_text(text)
    words = ["serve", "--listen", "127.0.0.1:0", "--registry", str(registry)]
    program = subprocess.Popen(
        [asked.program, *words], env=env, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        line = next((found for found in map(SERVING.search, program.stderr) if found), None)
        if line is None:
            raise SystemExit("error: it does not serve")
        address = line[1]
        # What nobody reads would one day stop the program.
        threading.Thread(target=lambda: collections.deque(program.stderr, maxlen=0), daemon=True).start()
        began = time.monotonic()
        wait_until_idle(address, asked.exports, program)
        settled = time.monotonic() - began
        # What the last runs have left to do, and the metrics that are asked for here, are no rest.
        time.sleep(5)
        asked_before, before = metrics(address), Usage(program.pid)
        time.sleep(asked.seconds)
        after, asked_after = Usage(program.pid), metrics(address)
    finally:
        program.terminate()
        program.wait()
    percent = (after.cpu_seconds - before.cpu_seconds) / asked.seconds * 100
    count = f"{asked.exports} exports of {asked.repositories} repositories"
    print(f"\nidle: {count}, all out after {settled:.0f} s, then {asked.seconds:.0f} s of rest")
    print(f"  {percent:.2f} % of a core, {after.wakes_since(before) / asked.seconds:.1f} wake-ups a second")
    print(f"  {after.resident_mib:.0f} MiB resident, {after.peak_mib:.0f} MiB at most, since the start")
    print(f"  {after.threads} threads, {after.files} open files, {asked_after['lakesync_watches']:.0f} watches")
    print(f"  {requests(asked_after) - requests(asked_before):.0f} requests to the store")
    too_much = []
    if percent >= MOST_CORE_PERCENT:
        too_much.append(f"{percent:.2f} % of a core at rest, and not less than {MOST_CORE_PERCENT:.0f}")
    if after.resident_mib >= MOST_MIB:
        too_much.append(f"{after.resident_mib:.0f} MiB resident, and not less than {MOST_MIB}")
    if requests(asked_after) != requests(asked_before):
        too_much.append("the store was asked although nothing happened")
    return too_much
