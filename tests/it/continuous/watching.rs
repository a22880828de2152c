//! What wakes, on real folders.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lakesync::source::Filter;
use lakesync::source::git::{GitConfig, GitSource};
use lakesync::wake::{Wake, Wakes};
use lakesync::watch::{FolderWatch, FolderWatchConfig, GitWatch, GitWatchConfig};

use crate::git_source::repository::Repository;
use crate::process::PATIENCE;

/// So long must nothing come to be called nothing: a few times the settle time.
const NOTHING: Duration = Duration::from_millis(800);

/// Longer than any test: what wakes is an event, and not a timer.
const NEVER: Duration = Duration::from_secs(3_600);

struct Watched<Watch> {
    wake: Wake,
    warnings: Arc<Mutex<Vec<String>>>,
    _watch: Watch,
}

impl<Watch> Watched<Watch> {
    /// Starts to watch; the wake of the start is taken already.
    async fn start(start: impl FnOnce(Wakes, Arc<dyn Fn(&str) + Send + Sync>) -> Watch) -> Self {
        let wake = Wake::default();
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&warnings);
        let warn = Arc::new(move |text: &str| told.lock().unwrap().push(text.to_owned()));
        let watch = start(Wakes::from(&wake), warn);
        let watched = Self {
            wake,
            warnings,
            _watch: watch,
        };
        watched.wakes("the start").await;
        watched
    }

    async fn wakes(&self, why: &str) {
        let woken = tokio::time::timeout(PATIENCE, self.wake.woken()).await;
        assert!(woken.is_ok(), "{why} did not wake");
    }

    async fn sleeps(&self, why: &str) {
        let woken = tokio::time::timeout(NOTHING, self.wake.woken()).await;
        assert!(woken.is_err(), "{why} woke");
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap().clone()
    }
}

async fn folder(path: &Path, exclude: &[&str], own: &[PathBuf]) -> Watched<FolderWatch> {
    let exclude: Vec<String> = exclude.iter().map(ToString::to_string).collect();
    let config = FolderWatchConfig {
        path: path.to_owned(),
        filter: Filter::new(&[], &exclude).unwrap(),
        exclude_paths: own.to_vec(),
        poll_interval: NEVER,
        rescan_interval: NEVER,
    };
    Watched::start(|wakes, warn| FolderWatch::start(config, wakes, warn).unwrap()).await
}

#[tokio::test]
async fn every_kind_of_change_in_a_folder_wakes() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("tree");
    std::fs::create_dir_all(root.join("old/deep")).unwrap();
    std::fs::write(root.join("old/deep/file"), "1").unwrap();
    let watched = folder(&root, &[], &[]).await;

    std::fs::write(root.join("new"), "1").unwrap();
    watched.wakes("a new file").await;
    std::fs::write(root.join("old/deep/file"), "2").unwrap();
    watched.wakes("a changed file deep below").await;
    // As editors save.
    std::fs::write(room.path().join("saved"), "3").unwrap();
    std::fs::rename(room.path().join("saved"), root.join("old/deep/file")).unwrap();
    watched.wakes("a file that was renamed over another").await;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("new"), mode).unwrap();
    watched.wakes("another mode").await;
    std::fs::remove_file(root.join("new")).unwrap();
    watched.wakes("a deleted file").await;

    std::fs::create_dir_all(root.join("young/a/b")).unwrap();
    std::fs::write(root.join("young/a/b/file"), "1").unwrap();
    watched.wakes("a new folder").await;
    std::fs::write(root.join("young/a/b/file"), "2").unwrap();
    watched.wakes("a file in a new folder").await;
    std::fs::rename(root.join("young/a"), root.join("moved")).unwrap();
    watched.wakes("a folder that was moved").await;
    std::fs::write(root.join("moved/b/file"), "3").unwrap();
    watched.wakes("a file in a folder that was moved").await;
    std::fs::remove_dir_all(root.join("moved")).unwrap();
    watched.wakes("a folder that was deleted").await;
    assert_eq!(watched.warnings(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_left_out_and_what_only_reads_does_not_wake() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("tree");
    for folder in ["tmp", "cache", "data"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("data/file"), "1").unwrap();
    let watched = folder(&root, &["tmp/", "*.part"], &[root.join("cache")]).await;
    std::fs::write(root.join("tmp/file"), "1").unwrap();
    std::fs::write(root.join("cache/file"), "1").unwrap();
    std::fs::write(root.join("data/file.part"), "1").unwrap();
    std::fs::remove_file(root.join("data/file.part")).unwrap();
    for _ in 0..100 {
        assert_eq!(std::fs::read(root.join("data/file")).unwrap(), b"1");
        assert_eq!(std::fs::read_dir(root.join("data")).unwrap().count(), 1);
    }
    watched.sleeps("what is left out").await;
    std::fs::write(root.join("data/file"), "2").unwrap();
    watched.wakes("what is not").await;
}

#[tokio::test]
async fn a_folder_that_goes_and_comes_back_wakes_both_times_and_is_watched_again() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    let watched = folder(&root, &[], &[]).await;
    std::fs::rename(&root, room.path().join("away")).unwrap();
    watched.wakes("a folder that was moved away").await;
    std::fs::create_dir(&root).unwrap();
    watched.wakes("a folder that is back").await;
    std::fs::write(root.join("file"), "1").unwrap();
    watched.wakes("a file in the folder that is back").await;
}

/// A burst is one wake when it is over, so that files that are written together go out together.
#[tokio::test]
async fn a_burst_of_changes_is_one_wake() {
    let room = tempfile::tempdir().unwrap();
    let root = room.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    let watched = folder(&root, &[], &[]).await;
    for number in 0..1_000 {
        std::fs::write(root.join(number.to_string()), "1").unwrap();
    }
    watched.wakes("a burst").await;
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1_000);
    watched.sleeps("the same burst").await;
}

async fn refs(path: &Path) -> Watched<GitWatch> {
    let (git_dir, common_dir) = GitSource::open(GitConfig::new(path)).unwrap().folders();
    let config = GitWatchConfig {
        git_dir,
        common_dir,
        poll_interval: NEVER,
    };
    Watched::start(|wakes, warn| GitWatch::start(&config, wakes, warn).unwrap()).await
}

#[tokio::test]
async fn every_way_in_which_a_ref_moves_wakes() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let watched = refs(&repository.path).await;
    repository.commit("two");
    watched.wakes("a commit").await;
    repository.git(&["branch", "deep/in/folders"]);
    watched.wakes("a branch in a new folder").await;
    repository.git(&["update-ref", "refs/heads/deep/in/folders", "HEAD~1"]);
    watched.wakes("a branch in a young folder").await;
    repository.git(&["pack-refs", "--all"]);
    watched.wakes("packed refs").await;
    repository.git(&["branch", "-D", "deep/in/folders"]);
    watched.wakes("a packed branch that was deleted").await;
    let linked = repository.beside("linked");
    repository.git(&["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    watched.wakes("a worktree and its branch").await;
    repository.git_in(&linked, &["commit", "--quiet", "--allow-empty", "-m", "there"]);
    watched.wakes("a commit in another worktree").await;

    let there = refs(&linked).await;
    repository.commit("three");
    there.wakes("a commit seen from another worktree").await;
    assert_eq!(watched.warnings(), Vec::<String>::new());
}

/// Git keeps a table of all tables beside them, and replaces it with each change.
#[tokio::test]
async fn a_new_list_of_reftables_wakes() {
    let room = tempfile::tempdir().unwrap();
    let git_dir = room.path().to_owned();
    std::fs::create_dir(git_dir.join("reftable")).unwrap();
    std::fs::create_dir(git_dir.join("refs")).unwrap();
    std::fs::write(git_dir.join("refs/heads"), "this repository uses the reftable format").unwrap();
    let config = GitWatchConfig {
        common_dir: git_dir.clone(),
        git_dir: git_dir.clone(),
        poll_interval: NEVER,
    };
    let watched = Watched::start(|wakes, warn| GitWatch::start(&config, wakes, warn).unwrap()).await;
    let list = git_dir.join("reftable/tables.list");
    std::fs::write(list.with_extension("list.lock"), "0x1-0x2.ref").unwrap();
    watched.sleeps("a list that is being written").await;
    std::fs::rename(list.with_extension("list.lock"), &list).unwrap();
    watched.wakes("a new list").await;
}

#[tokio::test]
async fn work_that_moves_no_ref_does_not_wake() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let watched = refs(&repository.path).await;
    repository.write("b", "new");
    repository.git(&["add", "--all"]);
    repository.git(&["status"]);
    repository.git(&["write-tree"]);
    watched.sleeps("the index").await;
    repository.commit("b");
    watched.wakes("the commit").await;
}
