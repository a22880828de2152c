//! Repositories made by the git program, in a room of their own.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lakesync::model::CommitId;

/// A repository in a temporary folder, which is also the home of the git that works on it.
pub struct Repository {
    room: tempfile::TempDir,
    pub path: PathBuf,
}

impl Repository {
    /// An empty repository on the branch `main`.
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(options: &[&str]) -> Self {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("repository");
        let repository = Self { room, path };
        let path = repository.path.to_str().unwrap().to_owned();
        let mut arguments = vec!["init", "--quiet", "--initial-branch=main"];
        arguments.extend_from_slice(options);
        arguments.push(&path);
        repository.git_in(repository.room.path(), &arguments);
        repository
    }

    /// A folder beside the repository, for clones and the like.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.path.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub fn write_bytes_name(&self, name: &[u8], bytes: impl AsRef<[u8]>) {
        self.write(OsStr::from_bytes(name), bytes);
    }

    /// Commits all that is in the worktree.
    pub fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.id("HEAD")
    }

    /// A commit of one file per name, holding its own name.
    pub fn commit_files(&self, names: &[&str]) -> CommitId {
        for name in names {
            self.write(name, name);
        }
        self.commit("files")
    }

    pub fn id(&self, revision: &str) -> CommitId {
        CommitId::new(self.git(&["rev-parse", revision]))
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.path, arguments)
    }

    pub fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        let output = self.command(folder, arguments).output().unwrap();
        String::from_utf8(checked(arguments, output))
            .unwrap()
            .trim_end()
            .to_owned()
    }

    /// Runs git on bytes, for bytes.
    pub fn git_bytes(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command(&self.path, arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        checked(arguments, child.wait_with_output().unwrap())
    }

    /// Whether git does this, given the configuration of whoever runs the tests.
    pub fn git_agrees_outside(arguments: &[&str]) -> bool {
        Command::new("git").args(arguments).output().unwrap().status.success()
    }

    /// Makes a program of a shell script. A process of its own writes it: whatever another test starts while we
    /// have the file open for writing would keep it open, and then it could not be run.
    pub fn program(&self, path: &Path, text: &str) {
        let script = format!("cat > '{0}' && chmod 755 '{0}'", path.display());
        let mut command = Command::new("sh");
        command
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(format!("#!/bin/sh\n{text}\n").as_bytes())
            .unwrap();
        checked(&["sh"], child.wait_with_output().unwrap());
    }

    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.room.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_AUTHOR_DATE", "1700000000 +0000")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"])
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null());
        command
    }

    /// Where a loose object lies.
    pub fn object_file(&self, id: &str) -> PathBuf {
        self.path.join(".git/objects").join(&id[..2]).join(&id[2..])
    }

    /// Runs `git fast-import`, by which commits with any paths and modes are made quickly.
    pub fn import(&self, stream: &[u8]) {
        self.git_bytes(&["fast-import", "--quiet", "--force"], stream);
    }

    /// Writes a tree object as it is given: `(mode, name, hex id)`.
    pub fn raw_tree(&self, children: &[(&str, &[u8], &str)]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in children {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(&hex::decode(id).unwrap());
        }
        let id = self.git_bytes(&["hash-object", "-t", "tree", "-w", "--literally", "--stdin"], &bytes);
        String::from_utf8(id).unwrap().trim_end().to_owned()
    }

    pub fn blob(&self, bytes: &[u8]) -> String {
        let id = self.git_bytes(&["hash-object", "-w", "--stdin"], bytes);
        String::from_utf8(id).unwrap().trim_end().to_owned()
    }

    /// Commits a tree object and lets `main` point there.
    pub fn commit_tree(&self, tree: &str) -> CommitId {
        let id = self.git(&["commit-tree", "-m", "tree", tree]);
        self.git(&["update-ref", "refs/heads/main", &id]);
        CommitId::new(id)
    }
}

fn checked(arguments: &[&str], output: Output) -> Vec<u8> {
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
