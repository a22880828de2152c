//! `lakesync checkout` as a process of its own, held to what the git program checks out.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lakesync::checkout::{Checkout, CheckoutConfig};
use lakesync::source::Source as _;
use lakesync::source::lakefs::ListingChoice;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::git_source::repository::Repository;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs_export::world::World;

/// Longer than any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file as people see it: its bytes or where it leads, and whether it can be executed.
type Shown = (Vec<u8>, bool);

fn shown(folder: &Path) -> BTreeMap<PathBuf, Shown> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if name == Path::new(".git") {
                continue;
            }
            if meta.is_dir() {
                waiting.push(path);
            } else if meta.is_symlink() {
                let target = std::fs::read_link(path).unwrap();
                found.insert(name, (target.into_os_string().into_encoded_bytes(), false));
            } else {
                found.insert(name, (std::fs::read(path).unwrap(), meta.mode() & 0o100 != 0));
            }
        }
    }
    found
}

/// A home, and a repository.
struct Room {
    room: tempfile::TempDir,
    repository: Repository,
}

impl Room {
    fn new() -> Self {
        Self {
            room: tempfile::tempdir().unwrap(),
            repository: Repository::new(),
        }
    }

    fn out(&self) -> PathBuf {
        self.room.path().join("out")
    }

    fn checkout(&self, words: &[&str]) -> Child {
        let source = format!("git:{}", self.repository.path.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_lakesync"));
        command
            .args(["checkout", &source, "out"])
            .args(words)
            .current_dir(self.room.path())
            .env_clear()
            .env("HOME", self.room.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    async fn ran(&self, words: &[&str]) -> (i32, String) {
        let ended = tokio::time::timeout(PATIENCE, self.checkout(words).wait_with_output()).await;
        let Output { status, stderr, .. } = ended.unwrap().unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Holds the folder to a clone by the git program.
    fn check(&self) {
        let clone = self.repository.beside("clone");
        if clone.exists() {
            std::fs::remove_dir_all(&clone).unwrap();
        }
        let from = format!("file://{}", self.repository.path.display());
        self.repository
            .git(&["clone", "--quiet", "--depth", "1", &from, clone.to_str().unwrap()]);
        let (ours, theirs) = (shown(&self.out()), shown(&clone));
        assert!(ours == theirs, "{:?} {:?}", ours.keys(), theirs.keys());
    }
}

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[tokio::test]
async fn a_git_branch_is_checked_out_as_git_does_it() {
    let room = Room::new();
    let repository = &room.repository;
    for (name, text) in [("a", "1"), ("b/c/d e", "2"), ("b/ä", "3"), ("run", "#!/bin/sh\n")] {
        repository.write(name, text);
    }
    repository.write("big", vec![7; 9 << 20]);
    std::os::unix::fs::symlink("b/ä", repository.path.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/nothing", repository.path.join("out of it")).unwrap();
    repository.git(&["add", "--all"]);
    repository.git(&["update-index", "--chmod=+x", "run"]);
    repository.git(&["commit", "--quiet", "--message", "first"]);
    repository.git(&["checkout", "--quiet", "--force", "main"]);
    let (code, said) = room.ran(&[]).await;
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("wrote 7 "), "{said}");
    room.check();
    let time: i64 = repository.git(&["log", "-1", "--format=%ct"]).parse().unwrap();
    assert_eq!(std::fs::metadata(room.out().join("a")).unwrap().mtime(), time);
    let (code, said) = room.ran(&[]).await;
    assert!(code == 0 && said.contains("Nothing to do"), "{said}");

    std::fs::remove_dir_all(repository.path.join("b")).unwrap();
    std::fs::remove_file(repository.path.join("link")).unwrap();
    repository.write("b", "a file now");
    repository.write("link/is a folder now", "x");
    let plain = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(repository.path.join("run"), plain).unwrap();
    repository.commit("second");
    let (code, said) = room.ran(&[]).await;
    assert!(
        code == 0 && said.contains("wrote 3 (21 B), deleted 3, kept 3"),
        "{said}"
    );
    room.check();
}

#[tokio::test]
async fn local_changes_are_refused_with_4_and_named() {
    let room = Room::new();
    room.repository.commit_files(&["a", "b"]);
    room.ran(&[]).await;
    std::fs::write(room.out().join("a"), "mine").unwrap();
    room.repository.write("a", "theirs");
    room.repository.write("b", "theirs");
    room.repository.commit("second");
    let (code, said) = room.ran(&[]).await;
    assert_eq!(code, 4, "{said}");
    assert!(
        said.contains("a was changed here") && said.contains("--force"),
        "{said}"
    );
    assert_eq!(std::fs::read(room.out().join("b")).unwrap(), b"b");
    assert_eq!(room.ran(&["--force"]).await.0, 0);
    room.check();
}

#[tokio::test]
async fn a_checkout_that_is_killed_is_gone_on_with() {
    let room = Room::new();
    for number in 0..3_000 {
        room.repository
            .write(format!("{}/{number}", number % 50), vec![b'x'; number]);
    }
    room.repository.commit("many");
    let mut kills = 0;
    for wait in (5..).step_by(25) {
        let child = room.checkout(&["--jobs", "2"]);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if child.id().is_none() {
            break;
        }
        send(&child, Signal::KILL);
        let ended = child.wait_with_output().await.unwrap();
        if ended.status.success() {
            break;
        }
        kills += 1;
    }
    assert!(kills > 2, "{kills}");
    let (code, said) = room.ran(&[]).await;
    assert_eq!(code, 0, "{said}");
    room.check();
}

#[tokio::test]
async fn each_new_commit_arrives_until_it_is_told_to_stop_and_nobody_else_gets_in() {
    let room = Room::new();
    room.repository.commit_files(&["a"]);
    let follower = room.checkout(&["--follow"]);
    let arrives = async |name: &str, text: &str| {
        let path = room.out().join(name);
        let arrived = async {
            while std::fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, arrived).await.unwrap();
    };
    arrives("a", "a").await;
    let (code, said) = room.ran(&[]).await;
    assert!(
        code == 75 && said.contains("another checkout is at work"),
        "{code} {said}"
    );
    for number in 0..3 {
        room.repository.write("a", format!("{number}"));
        room.repository.commit("next");
        arrives("a", &format!("{number}")).await;
    }
    // A local change holds it, and a head that has the same lets it go on.
    std::fs::write(room.out().join("a"), "mine").unwrap();
    room.repository.write("a", "theirs");
    room.repository.write("b", "b");
    room.repository.commit("a conflict");
    room.repository.write("a", "mine");
    room.repository.commit("no conflict");
    arrives("b", "b").await;
    send(&follower, Signal::TERM);
    let ended = tokio::time::timeout(PATIENCE, follower.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.status.code(), Some(143));
    room.check();
}

#[tokio::test]
async fn a_lakefs_branch_is_checked_out_and_lakectl_knows_the_folder() {
    let server = LakeFsServer::start(BlockStoreKind::S3).await;
    let world = World::new(&server).await;
    let files = [("a", "1"), ("b/c", "22"), ("empty", ""), ("dir/", "")];
    for (path, text) in files {
        world.repository.upload("main", path, text).await;
    }
    let first = world.repository.commit("main", "first").await;
    let room = tempfile::tempdir().unwrap();
    let out = room.path().join("out");
    let source = world.source(ListingChoice::Auto).await.unwrap();
    let config = CheckoutConfig {
        folder: out.clone(),
        state_folder: room.path().join("state"),
        force: false,
        delete: false,
        parallelism: NonZeroUsize::new(8).unwrap(),
        lakectl_uri: Some(source.uri()),
    };
    let checkout = Checkout::open(Arc::new(source.clone()), config).unwrap();
    let head = source.head().await.unwrap();
    let report = checkout.run(&head, &CancellationToken::new()).await.unwrap();
    assert_eq!((report.written, report.hidden.values().sum::<u64>()), (3, 1));
    let index = std::fs::read_to_string(out.join(".lakefs_ref.yaml")).unwrap();
    assert!(index.contains(&format!("at_head: \"{head}\"")), "{index}");
    assert!(
        index.contains(&format!("src: \"lakefs://{}/main/\"", world.repository.name)),
        "{index}"
    );
    world.repository.upload("main", "b/c", "changed").await;
    world.repository.commit("main", "second").await;
    let head = source.head().await.unwrap();
    assert_ne!(format!("{head}"), format!("{first:?}"));
    let report = checkout.run(&head, &CancellationToken::new()).await.unwrap();
    assert_eq!((report.written, report.kept), (1, 2));
    assert_eq!(std::fs::read(out.join("b/c")).unwrap(), b"changed");
}
