//! The git program, asked for refs that the library cannot read (reftable) and for nothing else.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The first version that reads and writes reftables.
const OLDEST: (u32, u32) = (2, 45);

/// Variables by which a surrounding git, such as one that runs us as its hook, says which repository it is in.
const OVERRIDES: [&str; 8] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_REF_STORAGE",
];

/// A git program that is new enough, and the repository it is asked about.
pub(super) struct GitProgram {
    program: PathBuf,
    git_dir: PathBuf,
}

impl GitProgram {
    /// Looks at the program's version; the error says what was found instead.
    pub(super) fn new(program: &Path, git_dir: &Path) -> Result<Self, String> {
        let found = Self {
            program: program.to_owned(),
            git_dir: git_dir.to_owned(),
        };
        let shown = program.display();
        let output = found
            .run(&["--version"])
            .map_err(|error| format!("{shown} cannot be run: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match version(&text) {
            Some(version) if version >= OLDEST => Ok(found),
            Some((major, minor)) => Err(format!("found {major}.{minor}")),
            None => Err(format!("{shown} does not tell its version")),
        }
    }

    /// The branch that HEAD is on, by its full name; `None` where it is detached.
    pub(super) fn head_name(&self) -> io::Result<Option<String>> {
        self.line(&["symbolic-ref", "--quiet", "HEAD"])
    }

    /// Whether there is a ref of this full name.
    pub(super) fn has_ref(&self, full: &str) -> io::Result<bool> {
        Ok(self.line(&["show-ref", "--verify", "--quiet", "--", full])?.is_some())
    }

    /// The id of the commit that a revision names.
    pub(super) fn commit(&self, revision: &str) -> io::Result<Option<String>> {
        let wanted = format!("{revision}^{{commit}}");
        self.line(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])
    }

    /// The full names of all branches and tags.
    pub(super) fn refs(&self) -> io::Result<Vec<String>> {
        let names = self.line(&[
            "for-each-ref",
            "--format=%(refname)",
            "refs/heads",
            "refs/tags",
            "refs/remotes",
        ])?;
        Ok(names.unwrap_or_default().lines().map(str::to_owned).collect())
    }

    /// What it prints; `None` where it ends with 1, which is how it says "no such thing". Any other end is an
    /// error with its words.
    fn line(&self, arguments: &[&str]) -> io::Result<Option<String>> {
        let output = self.run(arguments)?;
        match output.status.code() {
            Some(0) => Ok(Some(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())),
            Some(1) => Ok(None),
            _ => Err(io::Error::other(format!(
                "`git {}` failed: {}",
                arguments[0],
                String::from_utf8_lossy(&output.stderr).trim()
            ))),
        }
    }

    /// Runs it so that it reads refs and commits and starts nothing: no pager, no hook, no file watcher, no fetch
    /// of missing objects.
    fn run(&self, arguments: &[&str]) -> io::Result<Output> {
        let mut command = Command::new(&self.program);
        for variable in OVERRIDES {
            command.env_remove(variable);
        }
        command
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .args(["--no-pager", "--no-replace-objects"])
            .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
            .arg("--git-dir")
            .arg(&self.git_dir)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
    }
}

/// Reads `git version 2.45.1 (Apple Git-154)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("git version ")?.split('.');
    let number = |part: &str| part.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok();
    Some((number(parts.next()?)?, number(parts.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_vendors_are_read() {
        assert_eq!(version("git version 2.45.1 (Apple Git-154)"), Some((2, 45)));
        assert_eq!(version("git version 2.39.5"), Some((2, 39)));
        assert_eq!(version("git version 3.0-rc1"), Some((3, 0)));
        assert_eq!(version("git version 2.46.GIT"), Some((2, 46)));
        assert_eq!(version("hub version 2.14"), None);
    }
}
