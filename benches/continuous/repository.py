"""Git repositories without a worktree, whose commits are made without an index: only the branch's move is measured."""

import subprocess

MAIN = "refs/heads/main"


class Repository:
    """A bare repository with one branch of so many small files, 100 in each folder."""

    def __init__(self, path, files, env):
        self.path, self.env = path, env
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True, env=env)
        lines = [f"commit {MAIN}\ncommitter bench <bench@localhost> 1700000000 +0000\ndata 5\nfirst\n"]
        for number in range(files):
            text = f"file {number}\n"
            lines.append(f"M 100644 inline {self.name_of(number)}\ndata {len(text)}\n{text}\n")
        self._import("".join(lines))

    @staticmethod
    def name_of(number):
        """The path of a file."""
        return f"folder-{number // 100:05}/file-{number:07}.csv"

    def _import(self, stream):
        subprocess.run(
            ["git", "-C", self.path, "fast-import", "--quiet", "--force"],
            input=stream.encode(),
            check=True,
            env=self.env,
        )

    def git(self, *words):
        """What git answers."""
        done = subprocess.run(["git", "-C", self.path, *words], check=True, env=self.env, stdout=subprocess.PIPE)
        return done.stdout.decode().strip()

    def head(self):
        """The commit that the branch is at."""
        return self.git("rev-parse", MAIN)

    def prepare(self, number, text):
        """Makes a commit in which one file differs, and leaves the branch where it is; gives its id."""
        side = "refs/heads/prepared"
        self._import(
            f"commit {side}\ncommitter bench <bench@localhost> 1700000000 +0000\ndata 4\nnext\nfrom {MAIN}^0\n"
            f"M 100644 inline {self.name_of(number)}\ndata {len(text)}\n{text}\n"
        )
        return self.git("rev-parse", side)

    def move(self, commit):
        """Moves the branch."""
        self.git("update-ref", MAIN, commit)
