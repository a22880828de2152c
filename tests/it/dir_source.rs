//! A directory as a source, from outside.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lakesync::model::{CommitId, Entry, NoticeKind, RelPath};
use lakesync::source::{
    Body, DirConfig, DirSource, Filter, Item, SkipOrError, Source as _, SourceError, SymlinkPolicy,
};
use rustix::fs::{CWD, FileType, Mode, OFlags};

struct Tree {
    temp: tempfile::TempDir,
    config: DirConfig,
}

impl Tree {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().canonicalize().unwrap().join("tree");
        fs::create_dir(&path).unwrap();
        let config = DirConfig {
            path,
            ..DirConfig::default()
        };
        Self { temp, config }
    }

    fn with(files: &[&str]) -> Self {
        let tree = Self::new();
        for file in files {
            tree.write(file, file);
        }
        tree
    }

    fn at(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.config.path.join(Path::new(path.as_ref()))
    }

    fn write(&self, path: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn source(&self) -> DirSource {
        DirSource::open(self.config.clone()).unwrap()
    }

    async fn head(&self) -> Result<CommitId, SourceError> {
        self.source().head().await
    }

    async fn items(&self) -> Vec<Item<Entry>> {
        items(&self.source()).await
    }

    /// The paths of all items, as text, with a mark for what is no entry.
    async fn listing(&self) -> Vec<String> {
        let items = self.items().await.into_iter();
        items
            .map(|item| match item {
                Item::Entry(entry) => entry.path.to_string(),
                Item::Notice(notice) => format!("{} {:?}", notice.path, notice.kind),
                Item::Failed { path, error } => format!("{path} failed: {error}"),
            })
            .collect()
    }
}

async fn items(source: &DirSource) -> Vec<Item<Entry>> {
    let head = source.head().await.unwrap();
    source.tree(&head).await.unwrap().collect().await.unwrap()
}

async fn entry(source: &DirSource, path: &str) -> (CommitId, Entry) {
    let head = source.head().await.unwrap();
    let items = source.tree(&head).await.unwrap().collect().await.unwrap();
    let found = items.into_iter().find_map(|item| match item {
        Item::Entry(entry) if entry.path.as_bytes() == path.as_bytes() => Some(entry),
        _ => None,
    });
    (head, found.unwrap())
}

async fn bytes(mut body: Body) -> Result<Vec<u8>, SourceError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next_chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[tokio::test]
async fn entries_come_in_the_order_of_their_bytes_with_hash_size_and_mode() {
    let mut names = vec![
        "a/b",
        "a/b-c",
        "a/b.c/d",
        "a/b0",
        "a-b",
        "a.b",
        "a0",
        "Z",
        ".hidden/x",
        "ä/ö",
        ".gitignore",
    ];
    let tree = Tree::with(&names);
    tree.write(".gitignore", "*");
    fs::set_permissions(tree.at("a-b"), fs::Permissions::from_mode(0o750)).unwrap();
    names.sort_unstable();
    assert_eq!(tree.listing().await, names);
    let (_, found) = entry(&tree.source(), "a-b").await;
    assert_eq!((found.size, found.attributes.mode), (3, Some(0o750)));
    assert_eq!(found.content.blake3, Some(*blake3::hash(b"a-b").as_bytes()));
    let modified = fs::metadata(tree.at("a-b")).unwrap().modified().unwrap();
    let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(found.attributes.mtime_unix, i64::try_from(seconds).ok());
}

#[tokio::test]
async fn the_commit_id_is_what_its_documentation_says() {
    let tree = Tree::with(&["b/c"]);
    fs::set_permissions(tree.at("b/c"), fs::Permissions::from_mode(0o700)).unwrap();
    tree.write("a", "");
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"lakesync directory tree 1\n");
    hasher
        .update(b"f\x01\0\0\0\0\0\0\0a\0\0\0\0\0\0\0\0")
        .update(blake3::hash(b"").as_bytes());
    hasher
        .update(b"x\x03\0\0\0\0\0\0\0b/c\x03\0\0\0\0\0\0\0")
        .update(blake3::hash(b"b/c").as_bytes());
    let expected = format!("b3tree:{}", hasher.finalize().to_hex());
    assert_eq!(tree.head().await.unwrap().as_str(), expected);
}

#[tokio::test]
async fn touching_every_file_gives_the_same_commit_and_an_edit_another() {
    let mut tree = Tree::with(&["a", "b/c"]);
    tree.config.cache = Some(tree.temp.path().join("cache/deep"));
    let source = tree.source();
    let first = source.head().await.unwrap();
    assert!(source.contains(&first).await.unwrap());
    for file in ["a", "b/c"] {
        let file = File::options().write(true).open(tree.at(file)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    assert_eq!(source.head().await.unwrap(), first);
    tree.write("a", "A");
    let second = source.head().await.unwrap();
    assert_ne!(second, first);
    assert!(!source.contains(&first).await.unwrap() && source.contains(&second).await.unwrap());
    let gone = source.tree(&first).await.err().unwrap();
    assert!(matches!(gone, SourceError::CommitGone { .. }), "{gone}");
    assert!(source.changes(&first, &second).await.unwrap().is_none());
}

#[tokio::test]
async fn an_empty_directory_is_an_empty_tree_and_a_missing_or_replaced_one_an_error() {
    let tree = Tree::new();
    assert_eq!(tree.items().await, []);
    let source = tree.source();
    fs::rename(tree.at(""), tree.temp.path().join("moved")).unwrap();
    assert!(matches!(source.head().await, Err(SourceError::RootChanged { .. })));
    fs::create_dir(tree.at("")).unwrap();
    assert!(matches!(source.head().await, Err(SourceError::RootChanged { .. })));
    fs::remove_dir(tree.at("")).unwrap();
    let missing = DirSource::open(tree.config.clone());
    assert!(matches!(missing, Err(SourceError::NoSuchPath { .. })));
    fs::write(&tree.config.path, "file").unwrap();
    let file = DirSource::open(tree.config.clone());
    assert!(matches!(file, Err(SourceError::NotADirectory { .. })));
}

#[tokio::test]
async fn names_are_bytes() {
    let long = [b'n'; 255];
    let names: [&[u8]; 5] = [b"line\nbreak", b"not\xffutf8\x80", &long, b" ", b"-\x1b[2J"];
    let tree = Tree::new();
    let mut paths = Vec::new();
    for name in names {
        tree.write(OsStr::from_bytes(name), name);
        paths.push(RelPath::new(name).unwrap());
        let below = [name, b"-d/", name].concat();
        if name.len() < 200 {
            tree.write(OsStr::from_bytes(&below), name);
            paths.push(RelPath::new(below).unwrap());
        }
    }
    paths.sort();
    let source = tree.source();
    let mut found = Vec::new();
    for item in items(&source).await {
        let Item::Entry(entry) = item else { panic!("{item:?}") };
        let body = source.open(&CommitId::new("any"), &entry).await.unwrap();
        assert_eq!(bytes(body).await.unwrap(), entry.path.file_name());
        found.push(entry.path);
    }
    assert_eq!(found, paths);
}

#[tokio::test]
async fn what_a_filter_leaves_out_is_neither_entered_nor_followed_nor_counted() {
    let mut tree = Tree::with(&["keep/a.csv", "keep/b.txt", "tmp/c.csv"]);
    // Any of these would be an error if it were looked at.
    symlink("/", tree.at("tmp/escape")).unwrap();
    symlink("/", tree.at("escape.tmp")).unwrap();
    tree.config.symlinks = SymlinkPolicy::FollowInside;
    tree.config.special = SkipOrError::Error;
    rustix::fs::mknodat(CWD, tree.at("pipe.tmp"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let exclude = ["tmp/".to_owned(), "*.tmp".to_owned()];
    tree.config.filter = Filter::new(&["*.csv".to_owned()], &exclude).unwrap();
    assert_eq!(tree.listing().await, ["keep/a.csv"]);
}

#[tokio::test]
async fn our_own_files_are_left_out_whatever_they_are_called() {
    let mut tree = Tree::with(&["a", "own/b", "own/c/d", "status"]);
    fs::hard_link(tree.at("status"), tree.at("twin")).unwrap();
    tree.config.exclude_paths = vec![tree.at("own/../own/c"), tree.at("twin"), tree.at("missing")];
    tree.config.cache = Some(tree.at("cache"));
    let source = tree.source();
    for _ in 0..2 {
        let paths: Vec<String> = items(&source).await.iter().map(|item| format!("{item:?}")).collect();
        assert_eq!(paths.len(), 2, "{paths:?}");
    }
    assert!(tree.at("cache").read_dir().unwrap().count() > 0);
}

#[tokio::test]
async fn links_are_skipped_and_counted_or_refused_with_a_list() {
    let mut tree = Tree::with(&["a"]);
    for index in 0..25 {
        symlink("nowhere", tree.at(format!("link{index:02}"))).unwrap();
    }
    let items = tree.items().await;
    let links = |item: &&Item<Entry>| matches!(item, Item::Notice(notice) if notice.kind == NoticeKind::Symlink);
    assert_eq!((items.len(), items.iter().filter(links).count()), (26, 25));
    tree.config.symlinks = SymlinkPolicy::Error;
    let Err(SourceError::Refused { what, paths, total, .. }) = tree.head().await else {
        panic!("it must be refused");
    };
    assert_eq!((what, paths.len(), total), ("symlinks", 20, 25));
}

#[tokio::test]
async fn links_inside_are_followed_and_sort_as_what_they_lead_to() {
    let mut tree = Tree::with(&["real/sub/x", "real/y", "z"]);
    tree.config.symlinks = SymlinkPolicy::FollowInside;
    symlink("real", tree.at("link")).unwrap();
    tree.write("link-after", "");
    symlink("../z", tree.at("real/up")).unwrap();
    symlink(tree.at("real/./sub"), tree.at("absolute")).unwrap();
    symlink("link/sub/x", tree.at("twice")).unwrap();
    symlink("nothing/here", tree.at("broken")).unwrap();
    symlink("x", tree.at("real/sub/beside")).unwrap();
    let expected = [
        "absolute/beside",
        "absolute/x",
        "broken Symlink",
        "link-after",
        "link/sub/beside",
        "link/sub/x",
        "link/up",
        "link/y",
        "real/sub/beside",
        "real/sub/x",
        "real/up",
        "real/y",
        "twice",
        "z",
    ];
    assert_eq!(tree.listing().await, expected);
    for (path, content) in [
        ("link/up", "z"),
        ("twice", "real/sub/x"),
        ("absolute/beside", "real/sub/x"),
    ] {
        let source = tree.source();
        let (head, entry) = entry(&source, path).await;
        let body = source.open(&head, &entry).await.unwrap();
        assert_eq!(bytes(body).await.unwrap(), content.as_bytes());
    }
}

#[tokio::test]
async fn a_link_that_leads_out_or_in_a_circle_stops_the_run() {
    for (link, target, problem) in [
        ("d/l", "../..", "leads out of the tree"),
        ("d/l", "../../tree/a", "leads out of the tree"),
        ("l", "/etc/passwd", "leads out of the tree"),
        ("d/l", "..", "leads in a circle"),
        ("d/l", ".", "leads in a circle"),
        ("l", "l", "leads in a circle"),
        ("d/e/l", "../../f", "leads in a circle"),
    ] {
        let mut tree = Tree::with(&["a", "d/e/b", "f/b"]);
        symlink("../d/e", tree.at("f/back")).unwrap();
        if link != "d/e/l" {
            fs::remove_file(tree.at("f/back")).unwrap();
        }
        symlink(target, tree.at(link)).unwrap();
        tree.config.symlinks = SymlinkPolicy::FollowInside;
        let error = tree.head().await.unwrap_err();
        assert!(
            matches!(&error, SourceError::Link { problem: found, .. } if *found == problem),
            "{link}: {error}"
        );
    }
}

#[tokio::test]
async fn a_link_put_in_the_place_of_a_folder_after_the_scan_is_not_followed() {
    let tree = Tree::with(&["d/a"]);
    let source = tree.source();
    let (head, entry) = entry(&source, "d/a").await;
    fs::rename(tree.at("d"), tree.temp.path().join("outside")).unwrap();
    symlink(tree.temp.path().join("outside"), tree.at("d")).unwrap();
    let changed = source.open(&head, &entry).await.err().unwrap();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
}

#[tokio::test]
async fn pipes_and_sockets_are_counted_or_refused_and_hang_nobody() {
    let mut tree = Tree::with(&["a", "later"]);
    rustix::fs::mknodat(CWD, tree.at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(tree.at("socket")).unwrap();
    assert_eq!(tree.listing().await, ["a", "later", "pipe Special", "socket Special"]);
    let source = tree.source();
    let (head, entry) = entry(&source, "later").await;
    fs::remove_file(tree.at("later")).unwrap();
    rustix::fs::mknodat(CWD, tree.at("later"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let changed = source.open(&head, &entry).await.err().unwrap();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
    tree.config.special = SkipOrError::Error;
    let refused = tree.head().await.unwrap_err();
    assert!(matches!(refused, SourceError::Refused { total: 3, .. }), "{refused}");
}

#[tokio::test]
async fn four_thousand_levels_use_up_neither_the_stack_nor_the_open_files() {
    const LEVELS: usize = 4_000;
    let tree = Tree::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut here = rustix::fs::open(tree.at(""), flags, Mode::empty()).unwrap();
    for _ in 0..LEVELS {
        let file = rustix::fs::openat(&here, "e", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
        rustix::io::write(file, b"deep").unwrap();
        rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, "d", flags, Mode::empty()).unwrap();
    }
    rustix::fs::openat(&here, "bottom", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    let source = tree.source();
    let items = items(&source).await;
    assert_eq!(items.len(), LEVELS + 1);
    let Item::Entry(deepest) = &items[1] else {
        panic!("{:?}", items[1])
    };
    assert_eq!(deepest.path.as_bytes().len(), 2 * (LEVELS - 1) + 1);
    let body = source.open(&CommitId::new("any"), deepest).await.unwrap();
    assert_eq!(bytes(body).await.unwrap(), b"deep");
    // Flattened from the top, since a recursive removal does use them up.
    while fs::rename(tree.at("d/d"), tree.at("up")).is_ok() {
        fs::remove_file(tree.at("d/e")).unwrap();
        fs::remove_dir(tree.at("d")).unwrap();
        fs::rename(tree.at("up"), tree.at("d")).unwrap();
    }
}

#[test]
fn a_file_cut_while_hashed_does_not_kill_us_nor_stop_the_others() {
    const BYTES: u64 = 24 << 20;
    let tree = Tree::with(&["a", "z"]);
    let file = File::create(tree.at("cut")).unwrap();
    // Ends by itself, so that a failing test fails and does not hang.
    let cutter = std::thread::spawn(move || {
        let end = std::time::Instant::now() + std::time::Duration::from_secs(1);
        while std::time::Instant::now() < end {
            file.set_len(0).unwrap();
            file.set_len(BYTES).unwrap();
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut scans = 0;
    while !cutter.is_finished() || scans == 0 {
        let items = runtime.block_on(tree.items());
        assert_eq!(items.len(), 3);
        assert!(matches!((&items[0], &items[2]), (Item::Entry(_), Item::Entry(_))));
        match &items[1] {
            Item::Failed { path, error } => {
                assert_eq!(path.as_bytes(), b"cut");
                assert!(error.starts_with("changed while it was read"), "{error}");
            }
            // It was caught between two cuts, as a whole.
            Item::Entry(entry) => assert!(entry.size == 0 || entry.size == BYTES),
            Item::Notice(notice) => panic!("{notice:?}"),
        }
        scans += 1;
    }
    cutter.join().unwrap();
}

#[tokio::test]
async fn a_file_that_is_not_what_was_scanned_is_changed() {
    let tree = Tree::with(&["same", "touched", "other", "longer", "gone", "folder"]);
    let source = tree.source();
    let mut entries = Vec::new();
    for name in ["same", "touched", "other", "longer", "gone", "folder"] {
        entries.push(entry(&source, name).await);
    }
    let touch = |name: &str| {
        let file = File::options().write(true).open(tree.at(name)).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    };
    touch("touched");
    tree.write("other", "OTHER");
    touch("other");
    tree.write("longer", "longer than it was");
    fs::remove_file(tree.at("gone")).unwrap();
    fs::remove_file(tree.at("folder")).unwrap();
    fs::create_dir(tree.at("folder")).unwrap();
    for (head, entry) in entries {
        let outcome = source.open(&head, &entry).await;
        if ["same", "touched"].contains(&entry.path.to_str().unwrap()) {
            assert_eq!(bytes(outcome.unwrap()).await.unwrap(), entry.path.as_bytes());
        } else {
            let error = outcome.err().unwrap();
            assert!(
                matches!(&error, SourceError::Changed { path } if *path == entry.path),
                "{error}"
            );
            assert!(error.is_about_one_file());
        }
    }
}

#[tokio::test]
async fn a_big_file_comes_in_chunks_and_one_that_grows_meanwhile_is_changed() {
    let tree = Tree::new();
    let content: Vec<u8> = (0..12_000_001_u32).map(|index| (index % 251) as u8).collect();
    tree.write("big", &content);
    let source = tree.source();
    let (head, entry) = entry(&source, "big").await;
    assert_eq!(entry.content.blake3, Some(*blake3::hash(&content).as_bytes()));
    let body = source.open(&head, &entry).await.unwrap();
    assert!(matches!(body, Body::Chunks(_)));
    assert_eq!(bytes(body).await.unwrap(), content);
    let mut body = source.open(&head, &entry).await.unwrap();
    assert_eq!(body.next_chunk().await.unwrap().unwrap().len(), 1 << 20);
    // The reader of the file is six chunks ahead at most, of twelve.
    File::options()
        .append(true)
        .open(tree.at("big"))
        .unwrap()
        .write_all(b"more")
        .unwrap();
    let changed = bytes(body).await.unwrap_err();
    assert!(matches!(changed, SourceError::Changed { .. }), "{changed}");
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_fails_nothing() {
    let mut tree = Tree::with(&["a"]);
    for cache in [
        "/proc/lakesync-cache".into(),
        tree.at("a/cache"),
        "/dev/null".into(),
        tree.at(""),
    ] {
        tree.config.cache = Some(cache);
        assert_eq!(tree.listing().await, ["a"]);
    }
}

/// Root may read everything, so as root this runs once more in a child that is not.
#[test]
fn what_cannot_be_read_fails_alone_and_gives_a_commit_of_its_own() {
    const CHILD: &str = "LAKESYNC_TEST_ORDINARY_USER";
    const NAME: &str = "dir_source::what_cannot_be_read_fails_alone_and_gives_a_commit_of_its_own";
    if rustix::process::geteuid().is_root() && std::env::var_os(CHILD).is_none() {
        use std::os::unix::process::CommandExt as _;
        let mut child = std::process::Command::new("/proc/self/exe");
        child.args(["--exact", NAME]).env(CHILD, "1").uid(65_534).gid(65_534);
        let output = child.current_dir("/").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let tree = Tree::with(&["a", "file", "folder/x", "folder-b"]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let whole = runtime.block_on(tree.head()).unwrap();
    let closed = |path: &str, mode| fs::set_permissions(tree.at(path), fs::Permissions::from_mode(mode)).unwrap();
    closed("file", 0);
    closed("folder", 0);
    let listing = runtime.block_on(tree.listing());
    assert_eq!(
        listing,
        [
            "a",
            "file failed: cannot be read: Permission denied (os error 13)",
            "folder-b",
            "folder/ failed: cannot be opened: Permission denied (os error 13)",
        ]
    );
    assert_ne!(runtime.block_on(tree.head()).unwrap(), whole);
    let source = tree.source();
    closed("file", 0o600);
    let (head, entry) = runtime.block_on(entry(&source, "file"));
    closed("file", 0);
    let unreadable = runtime.block_on(source.open(&head, &entry)).err().unwrap();
    assert!(matches!(unreadable, SourceError::Io { .. }) && unreadable.is_about_one_file());
    closed("folder", 0o700);
}
