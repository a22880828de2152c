"""How each contender is called, as its own manual recommends."""

RIVALS = ("s5cmd", "rclone", "aws")
VERSION = {"s5cmd": ["version"], "rclone": ["version"], "aws": ["--version"]}

# Requests at once for small files: below, about and above what two cores and a local server bear.
SMALL_AT_ONCE = (16, 64, 128)
# Parts at once for large files.
BIG_AT_ONCE = (4, 8, 16)


class Lakesync:
    """lakesync as it comes."""

    concurrency = "as it comes"

    def __init__(self, binary, source, work):
        self.binary = binary
        self.source = source
        self.work = work
        self.name = f"lakesync-{source}"

    def environment(self, _endpoint, prefix):
        """Caches of its own for each prefix, so that a first export hashes every file."""
        place = self.work / "state" / prefix.strip("/")
        return {
            "HOME": str(place),
            "XDG_CACHE_HOME": str(place / "cache"),
            "XDG_CONFIG_HOME": str(place / "config"),
            "XDG_STATE_HOME": str(place / "state"),
        }

    def command(self, tree, bucket, prefix, _endpoint):
        """The command line."""
        place = tree.repository if self.source == "git" else tree.folder
        return [self.binary, "export", f"{self.source}:{place}", "--export-path", f"s3://{bucket}/{prefix}"]


class Rival:
    """What the rivals share: a program, a number of things at once, and where its settings may lie."""

    def __init__(self, program, concurrency, big, mirror, work):
        self.program = program
        self.concurrency = concurrency
        self.big = big
        self.mirror = mirror
        self.work = work
        self.name = type(self).__name__.lower()

    def environment(self, _endpoint, _prefix):
        """What it needs beside AWS's own variables."""
        return {"HOME": str(self.work)}


class S5cmd(Rival):
    """`s5cmd cp`, or `s5cmd sync --delete` where the target holds an older state."""

    def command(self, tree, bucket, prefix, endpoint):
        """The command line; its slash at the end means "what is in the folder"."""
        at_once = ["--numworkers", str(self.concurrency * 4 if self.big else self.concurrency)]
        verb = ["sync", "--delete"] if self.mirror else ["cp"]
        if self.big:
            verb += ["--concurrency", str(self.concurrency)]
        target = f"s3://{bucket}/{prefix}"
        start = [self.program, "--log", "error", "--endpoint-url", endpoint]
        return [*start, *at_once, *verb, f"{tree.folder}/", target]


class Rclone(Rival):
    """`rclone copy`, or `rclone sync` where the target holds an older state."""

    def environment(self, endpoint, prefix):
        """A remote called `peer`, made of variables, so that no file of settings is read."""
        return super().environment(endpoint, prefix) | {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_PEER_TYPE": "s3",
            "RCLONE_CONFIG_PEER_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_PEER_ENV_AUTH": "true",
            "RCLONE_CONFIG_PEER_ENDPOINT": endpoint,
            "RCLONE_CONFIG_PEER_REGION": "us-east-1",
        }

    def command(self, tree, bucket, prefix, _endpoint):
        """The command line; `--fast-list` lists the target in pages of 1,000 and not folder by folder."""
        verb = "sync" if self.mirror else "copy"
        options = ["--s3-no-check-bucket", "--fast-list", "--checkers", "16"]
        if self.big:
            options += ["--transfers", "4", "--s3-upload-concurrency", str(self.concurrency)]
        else:
            options += ["--transfers", str(self.concurrency)]
        return [self.program, verb, *options, str(tree.folder), f"peer:{bucket}/{prefix}"]


class Aws(Rival):
    """`aws s3 cp --recursive`, or `aws s3 sync --delete` where the target holds an older state."""

    def environment(self, endpoint, prefix):
        """Its concurrency has no flag, only a key in its file of settings."""
        settings = self.work / f"aws-{self.concurrency}.ini"
        settings.write_text(f"[default]\ns3 =\n  max_concurrent_requests = {self.concurrency}\n")
        return super().environment(endpoint, prefix) | {"AWS_CONFIG_FILE": str(settings)}

    def command(self, tree, bucket, prefix, _endpoint):
        """The command line."""
        verb = ["sync", "--delete"] if self.mirror else ["cp", "--recursive"]
        return [self.program, "s3", *verb, "--only-show-errors", str(tree.folder), f"s3://{bucket}/{prefix}"]


def rival(name, programs, big, mirror, work):
    """One contender for each of the three concurrencies; `programs` is the folder of the programs."""
    kind = {"s5cmd": S5cmd, "rclone": Rclone, "aws": Aws}[name]
    return [kind(programs / name, at_once, big, mirror, work) for at_once in (BIG_AT_ONCE if big else SMALL_AT_ONCE)]
