"""The trees that the contenders publish: small files with a history in Git, and large files."""

import os
import pathlib
import random
import subprocess

FOLDERS = 200
SMALLEST_BYTES = 512
LARGEST_BYTES = 8192
MIB = 1024 * 1024


class Tree:
    """A folder of files, and a bare Git repository beside it that rivals never see."""

    def __init__(self, place, keep_history):
        self.folder = place / "tree"
        self.repository = place / "repository.git"
        self.keep_history = keep_history
        # One seed: every run of the bench makes the same trees.
        self.random = random.Random(20261122)
        self.folder.mkdir(parents=True)
        if keep_history:
            self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.repository))

    def git(self, *arguments):
        """Runs git without anybody's settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        own.update(
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_CONFIG_NOSYSTEM="1",
            GIT_AUTHOR_NAME="bench",
            GIT_AUTHOR_EMAIL="bench@localhost",
            GIT_COMMITTER_NAME="bench",
            GIT_COMMITTER_EMAIL="bench@localhost",
        )
        subprocess.run(["git", *arguments], check=True, env=own, stdout=subprocess.DEVNULL)

    def commit(self):
        """Commits the folder as it is."""
        if self.keep_history:
            where = (f"--git-dir={self.repository}", f"--work-tree={self.folder}")
            self.git(*where, "add", "--all", ".")
            self.git(*where, "commit", "--quiet", "--message", "a state of the tree")

    def add_small(self, count):
        """Makes `count` files of 0.5 to 8 KB in 200 folders."""
        for number in range(count):
            folder = self.folder / f"part={number % FOLDERS:03}"
            folder.mkdir(exist_ok=True)
            self.write(folder / f"file-{number:06}.bin")

    def add_big(self, count, mib):
        """Makes `count` files of `mib` MiB each."""
        for number in range(count):
            with open(self.folder / f"big-{number}.bin", "wb") as out:
                for _ in range(mib):
                    out.write(self.random.randbytes(MIB))

    def write(self, path):
        """Writes a small file of new random bytes."""
        path.write_bytes(self.random.randbytes(self.random.randint(SMALLEST_BYTES, LARGEST_BYTES)))

    def change_one_percent(self, number):
        """Changes 1 % of the files: of each ten, six are edited, two renamed, two deleted."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        chosen = self.random.sample(files, max(len(files) // 100, 10))
        for at, path in enumerate(chosen):
            if at % 10 < 6:
                self.write(path)
            elif at % 10 < 8:
                path.rename(path.with_name(f"renamed-{number}-{at}.bin"))
            else:
                path.unlink()


def listing(folder):
    """Every file of a folder: its relative path and its size."""
    root = pathlib.Path(folder)
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*") if path.is_file()}
