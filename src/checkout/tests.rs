//! Checkouts of a branch in memory into real folders.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::model::Attributes;
use crate::source::Source as _;
use crate::source::memory::{ContentKind, MemoryFile, MemorySource, MemoryTree};

/// A branch, a folder, and a place for what is remembered.
struct World {
    source: MemorySource,
    room: tempfile::TempDir,
}

/// The files of a folder, or of a tree.
type Files = BTreeMap<String, Vec<u8>>;

impl World {
    fn new() -> Self {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir(room.path().join("out")).unwrap();
        Self {
            source: MemorySource::new("memory:x"),
            room,
        }
    }

    fn commit(&self, files: &[(&str, &str)]) -> CommitId {
        let tree = files.iter().map(|(path, text)| {
            let file = MemoryFile::new(text.to_string());
            (RelPath::new(*path).unwrap(), file)
        });
        self.source.commit(tree.collect())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.room.path().join("out").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn config(&self) -> CheckoutConfig {
        CheckoutConfig {
            folder: self.path(""),
            state_folder: self.room.path().join("state"),
            force: false,
            delete: false,
            parallelism: NonZeroUsize::new(4).unwrap(),
            lakectl_uri: None,
        }
    }

    fn open(&self, change: impl FnOnce(&mut CheckoutConfig)) -> Result<Checkout, CheckoutError> {
        let mut config = self.config();
        change(&mut config);
        Checkout::open(Arc::new(self.source.clone()), config)
    }

    async fn run_with(&self, change: impl FnOnce(&mut CheckoutConfig)) -> Result<CheckoutReport, CheckoutError> {
        let head = self.source.head().await.unwrap();
        self.open(change)?.run(&head, &CancellationToken::new()).await
    }

    async fn run(&self) -> Result<CheckoutReport, CheckoutError> {
        self.run_with(|_| ()).await
    }

    fn files(&self) -> Files {
        files_below(&self.path(""))
    }

    /// The inode and time of each file: whether it was touched.
    fn stamps(&self) -> BTreeMap<String, (u64, i64)> {
        let stamp = |path: String| {
            let meta = std::fs::symlink_metadata(self.path(&path)).unwrap();
            (path, (meta.ino(), meta.ctime_nsec()))
        };
        self.files().into_keys().map(stamp).collect()
    }
}

fn files_below(folder: &Path) -> Files {
    let mut found = Files::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_symlink() {
                let target = std::fs::read_link(path).unwrap();
                found.insert(name, format!("-> {}", target.display()).into_bytes());
            } else {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

fn texts(files: &[(&str, &str)]) -> Files {
    let files = files.iter();
    files
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

fn changes(result: Result<CheckoutReport, CheckoutError>) -> Vec<(String, LocalChangeKind)> {
    match result {
        Err(CheckoutError::LocalChanges { changes, total }) => {
            assert_eq!(total, changes.len() as u64);
            changes
                .into_iter()
                .map(|change| (change.path.to_string(), change.kind))
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_tree_arrives_and_nothing_is_touched_when_nothing_changed() {
    let world = World::new();
    let files = [("a", "1"), ("b/c/d", "22"), ("b/e", ""), ("z", "4444")];
    world.commit(&files);
    let report = world.run().await.unwrap();
    assert_eq!((report.written, report.written_bytes, report.kept), (4, 7, 0));
    assert_eq!(world.files(), texts(&files));
    let stamps = world.stamps();
    let report = world.run().await.unwrap();
    assert_eq!((report.written, report.kept, report.deleted), (0, 4, 0));
    // A commit of the same tree is another commit, and the same files.
    world.commit(&files);
    assert_eq!(world.run().await.unwrap().written, 0);
    assert_eq!(world.stamps(), stamps);
}

#[tokio::test]
async fn only_what_changed_is_written_and_what_is_gone_goes_with_its_folders() {
    let world = World::new();
    world.commit(&[("a", "1"), ("b/c/d", "2"), ("b/e", "3"), ("kept", "4")]);
    world.run().await.unwrap();
    let kept = world.stamps()["kept"];
    world.commit(&[("a", "changed"), ("b/e", "3"), ("kept", "4"), ("new", "5")]);
    let report = world.run().await.unwrap();
    assert_eq!((report.written, report.kept, report.deleted), (2, 2, 1));
    assert_eq!(
        world.files(),
        texts(&[("a", "changed"), ("b/e", "3"), ("kept", "4"), ("new", "5")])
    );
    assert!(!world.path("b/c").exists());
    assert_eq!(world.stamps()["kept"], kept);
}

#[tokio::test]
async fn files_and_folders_take_each_others_places() {
    let world = World::new();
    world.commit(&[("a", "file"), ("b/c", "1"), ("b/d/e", "2")]);
    world.run().await.unwrap();
    for files in [
        [("a/x", "1"), ("a/y/z", "2"), ("b", "file")],
        [("a", "file"), ("b/c", "1"), ("b/d/e", "2")],
    ] {
        world.commit(&files);
        world.run().await.unwrap();
        assert_eq!(world.files(), texts(&files));
    }
}

#[tokio::test]
async fn a_local_change_is_found_before_anything_is_written_and_force_overwrites_it() {
    let world = World::new();
    world.commit(&[("a", "1"), ("b", "2"), ("gone", "3"), ("same", "4")]);
    world.run().await.unwrap();
    world.write("a", "mine");
    world.write("gone", "mine, too");
    world.write("new", "untracked");
    world.write("same", "4 ");
    world.write("same", "4");
    std::fs::remove_file(world.path("b")).unwrap();
    world.commit(&[
        ("a", "branch"),
        ("b", "branch"),
        ("new", "branch"),
        ("same", "4"),
        ("z", "branch"),
    ]);
    let before = world.files();
    let found = changes(world.run().await);
    let expected = [
        ("a", LocalChangeKind::Changed),
        ("new", LocalChangeKind::Untracked),
        ("gone", LocalChangeKind::Removed),
    ];
    assert_eq!(found, expected.map(|(path, kind)| (path.to_owned(), kind)));
    assert_eq!(world.files(), before, "nothing was written");
    world.run_with(|config| config.force = true).await.unwrap();
    let files = [
        ("a", "branch"),
        ("b", "branch"),
        ("new", "branch"),
        ("same", "4"),
        ("z", "branch"),
    ];
    assert_eq!(world.files(), texts(&files));
}

#[tokio::test]
async fn what_is_there_already_is_taken_over_where_its_bytes_tell() {
    for (content, taken_over) in [
        (ContentKind::Git, true),
        (ContentKind::Blake3, true),
        (ContentKind::Address, false),
    ] {
        let world = World::new();
        let world = World {
            source: world.source.with_content(content),
            ..world
        };
        world.write("a", "1");
        world.commit(&[("a", "1"), ("b", "2")]);
        match world.run().await {
            Ok(report) => assert!(taken_over && report.written == 1 && report.kept == 1, "{report:?}"),
            other => assert_eq!(changes(other), [("a".to_owned(), LocalChangeKind::Untracked)]),
        }
    }
}

#[tokio::test]
async fn files_of_the_users_stay_unless_all_that_is_not_the_branchs_is_to_go() {
    let world = World::new();
    world.write("mine/notes", "x");
    world.write(".lakefs_ref.yaml", "x");
    world.commit(&[("a", "1")]);
    world.run().await.unwrap();
    assert!(world.path("mine/notes").exists());
    let report = world.run_with(|config| config.delete = true).await.unwrap();
    assert_eq!(report.deleted, 1);
    assert_eq!(world.files().into_keys().collect::<Vec<_>>(), [".lakefs_ref.yaml", "a"]);
    assert!(!world.path("mine").exists());
}

#[tokio::test]
async fn no_link_and_no_name_leads_out_of_the_folder() {
    let world = World::new();
    let outside = world.room.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("b"), "outside").unwrap();
    symlink(&outside, world.path("a")).unwrap();
    let deep = "d/".repeat(4_000) + "deep";
    world.commit(&[
        ("../up", "x"),
        ("/root", "x"),
        (".git/hooks/post-checkout", "x"),
        ("a/../../up", "x"),
        ("a/b", "branch"),
        (&deep, "x"),
        ("n\0ul", "x"),
        (&"x".repeat(300), "x"),
    ]);
    assert_eq!(
        changes(world.run().await),
        [("a".to_owned(), LocalChangeKind::InTheWay)]
    );
    let report = world.run_with(|config| config.force = true).await.unwrap();
    let hidden = [
        (Hidden::EmptyName, 1),
        (Hidden::DotName, 2),
        (Hidden::BadName, 2),
        (Hidden::GitFolder, 1),
    ];
    assert_eq!(report.hidden, hidden.into());
    assert_eq!(files_below(&outside), texts(&[("b", "outside")]));
    assert_eq!(std::fs::read_dir(world.room.path()).unwrap().count(), 3);
    assert_eq!(std::fs::read(world.path("a/b")).unwrap(), b"branch");
    assert_eq!(report.written, 2);
    // Deeper than any path that the system takes at once: entered and left folder by folder.
    world.commit(&[("a/b", "branch")]);
    assert_eq!(world.run().await.unwrap().deleted, 1);
    assert!(!world.path("d").exists());
}

#[tokio::test]
async fn a_file_that_is_a_folder_too_is_hidden() {
    let world = World::new();
    world.commit(&[("a", "file"), ("a-b", "1"), ("a/b", "2")]);
    let report = world.run().await.unwrap();
    assert_eq!(report.hidden, [(Hidden::FileAndFolder, 1)].into());
    assert_eq!((report.written, report.kept), (2, 0));
    assert_eq!(world.files(), texts(&[("a-b", "1"), ("a/b", "2")]));
    assert_eq!(world.run().await.unwrap().kept, 2);
}

#[tokio::test]
async fn a_checkout_that_failed_is_gone_on_with() {
    let world = World::new();
    let names: Vec<String> = (0..50).map(|number| format!("{number:02}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    world.commit(&files);
    let broken = RelPath::new("40").unwrap();
    world.source.alter(&broken, 1);
    let failed = world.run_with(|config| config.parallelism = NonZeroUsize::MIN).await;
    assert!(matches!(failed, Err(CheckoutError::OtherBytes { path }) if path == broken));
    assert_eq!(world.files().len(), 40, "and no half of a file");
    // As a killed one leaves it.
    world.write(".lakesync-unfinished-1-1", "half");
    world.write("07", "changed");
    assert_eq!(
        changes(world.run().await),
        [("07".to_owned(), LocalChangeKind::Changed)]
    );
    world.write("07", "07");
    let report = world.run().await.unwrap();
    assert_eq!((report.written, report.kept), (10, 40));
    assert_eq!(world.files(), texts(&files));
    assert_eq!(world.run().await.unwrap().written, 0);
}

#[tokio::test]
async fn one_folder_has_one_checkout_at_a_time_and_one_branch() {
    let world = World::new();
    world.commit(&[("a", "1")]);
    let first = world.open(|_| ()).unwrap();
    assert!(matches!(world.open(|_| ()).err(), Some(CheckoutError::Busy { .. })));
    drop(first);
    world.run().await.unwrap();
    let other = MemorySource::new("memory:other");
    let tree = MemoryTree::from([(RelPath::new("b").unwrap(), MemoryFile::new("2"))]);
    let head = other.commit(tree);
    let refused = Checkout::open(Arc::new(other.clone()), world.config()).err();
    assert!(refused.unwrap().to_string().contains("holds a checkout of memory:x"));
    let config = CheckoutConfig {
        force: true,
        ..world.config()
    };
    let forced = Checkout::open(Arc::new(other), config).unwrap();
    forced.run(&head, &CancellationToken::new()).await.unwrap();
    assert_eq!(world.files(), texts(&[("b", "2")]));
}

#[tokio::test]
async fn modes_and_times_are_the_sources() {
    let world = World::new();
    let file = |mode, mtime_unix| MemoryFile {
        attributes: Attributes {
            mode: Some(mode),
            mtime_unix: Some(mtime_unix),
            ..Attributes::default()
        },
        ..MemoryFile::new("x")
    };
    let tree = |mode| MemoryTree::from([(RelPath::new("run").unwrap(), file(mode, 1_234_567_890))]);
    world.source.commit(tree(0o100_755));
    world.run().await.unwrap();
    let meta = || std::fs::metadata(world.path("run")).unwrap();
    assert_eq!((meta().mtime(), meta().mode() & 0o100), (1_234_567_890, 0o100));
    world.source.commit(tree(0o100_644));
    world.run().await.unwrap();
    assert_eq!(meta().mode() & 0o111, 0);
}

#[test]
fn a_folder_that_is_a_file_is_told() {
    let world = World::new();
    std::fs::write(world.path("file"), "").unwrap();
    let error = world.open(|config| config.folder = world.path("file")).err().unwrap();
    assert!(matches!(error, CheckoutError::NotADirectory { .. }));
}

fn tree() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[ab](/[ab-]){0,3}", "[xy]{0,2}", 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the branch and the user do, with force the folder ends as the tree, apart from what it cannot hold;
    /// without force nothing of the user's is lost.
    #[test]
    fn the_folder_ends_as_the_tree_or_nothing_is_lost(
        steps in prop::collection::vec((tree(), prop::collection::vec(("[ab](/[ab]){0,2}", "[xyz]{0,3}"), 0..4)), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for (files, edits) in steps {
                for (path, text) in edits {
                    let path = world.path(&path);
                    // Where a file is in the way the user does something else.
                    if std::fs::create_dir_all(path.parent().unwrap()).is_ok() {
                        let _ = std::fs::write(path, text);
                    }
                }
                let pairs: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
                world.commit(&pairs);
                let is_folder = |path: &str| files.keys().any(|other| other.starts_with(&format!("{path}/")));
                let expected = texts(&pairs.iter().filter(|(path, _)| !is_folder(path)).copied().collect::<Vec<_>>());
                let before = world.files();
                match world.run().await {
                    Ok(_) => {
                        let after = world.files();
                        assert!(expected.iter().all(|file| after.get(file.0) == Some(file.1)));
                    }
                    Err(CheckoutError::LocalChanges { .. }) => assert_eq!(world.files(), before),
                    Err(error) => panic!("{error}"),
                }
                world.run_with(|config| (config.force, config.delete) = (true, true)).await.unwrap();
                assert_eq!(world.files(), expected);
            }
        });
    }
}

#[tokio::test]
async fn lakectl_knows_the_folder_and_what_lakectl_filled_is_taken_over() {
    let world = World::new();
    let world = World {
        source: world.source.with_content(ContentKind::Address),
        ..world
    };
    let file = |text: &str, metadata: Vec<(&str, &str)>| MemoryFile {
        attributes: Attributes {
            mtime_unix: Some(1_700_000_000),
            metadata: metadata
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            ..Attributes::default()
        },
        ..MemoryFile::new(text.to_owned())
    };
    let path = |text: &str| RelPath::new(text).unwrap();
    let client = ("::lakefs::client-mtime", "1600000000");
    let head = world.source.commit(MemoryTree::from([
        (path("a"), file("1", vec![])),
        (path("b"), file("2", vec![client])),
        (path("changed"), file("3", vec![])),
    ]));
    for (name, text, seconds) in [
        ("a", "1", 1_700_000_000),
        ("b", "2", 1_600_000_000),
        ("changed", "X", 5),
    ] {
        world.write(name, text);
        let file = std::fs::File::options().write(true).open(world.path(name)).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }
    world.write(
        ".lakefs_ref.yaml",
        "src: lakefs://repo/main/\nat_head: old\nactive_operation: \"\"\n",
    );
    let of = |uri: &'static str| move |config: &mut CheckoutConfig| config.lakectl_uri = Some(uri.to_owned());
    let error = world.run_with(of("lakefs://repo/other")).await.unwrap_err();
    assert!(error.to_string().contains("lakefs://repo/main/"), "{error}");
    let found = changes(world.run_with(of("lakefs://repo/main")).await);
    assert_eq!(found, [("changed".to_owned(), LocalChangeKind::Untracked)]);
    std::fs::remove_file(world.path("changed")).unwrap();
    let report = world.run_with(of("lakefs://repo/main")).await.unwrap();
    assert_eq!((report.written, report.kept), (1, 2));
    let index = std::fs::read_to_string(world.path(".lakefs_ref.yaml")).unwrap();
    assert_eq!(
        index,
        format!("src: \"lakefs://repo/main\"\nat_head: \"{head}\"\nactive_operation: \"\"\n")
    );
    let mtime = |name| std::fs::metadata(world.path(name)).unwrap().mtime();
    assert_eq!((mtime("changed"), mtime("b")), (1_700_000_000, 1_600_000_000));
}
