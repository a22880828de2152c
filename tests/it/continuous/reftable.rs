//! A repository that keeps its refs in a reftable, followed by means of the git program on PATH.

use std::path::PathBuf;

use rustix::process::Signal;

use super::*;
use crate::process::said;

/// A repository that says so, with two commits, and a folder with a git program of our own.
struct Reftable {
    repository: Repository,
    commits: [String; 2],
    bin: PathBuf,
}

impl Reftable {
    fn new() -> Self {
        let repository = Repository::new();
        let first = repository.commit_files(&["a"]).to_string();
        let second = repository.commit_files(&["a", "b"]).to_string();
        repository.git(&["config", "core.repositoryFormatVersion", "1"]);
        repository.git(&["config", "extensions.refStorage", "reftable"]);
        // As Git leaves them for programs that do not know reftables.
        let git_dir = repository.path.join(".git");
        std::fs::write(git_dir.join("HEAD"), "ref: refs/heads/.invalid\n").unwrap();
        std::fs::create_dir(git_dir.join("reftable")).unwrap();
        let bin = repository.beside("bin");
        std::fs::create_dir(&bin).unwrap();
        let reftable = Self {
            repository,
            commits: [first, second],
            bin,
        };
        reftable.move_to(0);
        reftable
    }

    fn program(&self, text: &str) {
        self.repository.program(&self.bin.join("git"), text);
    }

    /// Moves the branch, as Git does: a new list of tables takes the place of the old one.
    fn move_to(&self, number: usize) {
        std::fs::write(self.repository.beside("main"), &self.commits[number]).unwrap();
        let list = self.repository.path.join(".git/reftable/tables.list");
        let young = list.with_extension("list.lock");
        std::fs::write(&young, format!("0x{number}.ref\n")).unwrap();
        std::fs::rename(young, list).unwrap();
    }

    fn follow(&self, room: &Room) -> Command {
        let (source, export_path) = (git(&self.repository), room.export_path.to_string());
        let words = ["export", &source, "--export-path", &export_path, "--continuous"];
        let mut command = room.program(&room.bucket.server.endpoint, &words);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.bin.display()));
        command
    }
}

#[tokio::test]
async fn a_reftable_is_followed_by_the_git_program_on_the_path() {
    let room = room().await;
    let reftable = Reftable::new();
    let [first, second] = reftable.commits.clone();
    reftable.program(&format!(
        r#"case "$*" in
        *--version) echo git version 2.45.0 ;;
        *symbolic-ref\ --quiet\ HEAD) echo refs/heads/main ;;
        *show-ref\ --verify\ --quiet\ --\ refs/heads/main) ;;
        *rev-parse\ *--end-of-options\ refs/heads/main^{{commit}}) cat '{}' ;;
        *show-ref*|*rev-parse*) exit 1 ;;
        *) echo "asked: $*" >&2; exit 2 ;;
        esac"#,
        reftable.repository.beside("main").display()
    ));
    let follower = Follower::start(reftable.follow(&room));
    room.until_out(&follower, |head| head.commit == first).await;
    reftable.move_to(1);
    let head = room.until_out(&follower, |head| head.commit == second).await;
    assert_eq!((head.put, head.kept), (1, 1));
    follower.ends(Signal::TERM, 143).await;
}

/// P9: what is missing is named before anything is written.
#[tokio::test]
async fn an_old_git_on_the_path_is_named_with_the_version_that_is_needed() {
    let room = room().await;
    let reftable = Reftable::new();
    reftable.program("echo git version 2.39.5");
    let output = ended(reftable.follow(&room).spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    for part in ["\"reftable\"", "2.45", "(found 2.39)"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(room.status_now().await.is_none());
}
