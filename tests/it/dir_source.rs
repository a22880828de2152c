//! A directory as a source, from outside.

// Clippy knows tests by their attribute, and not what they call.
#![allow(clippy::unwrap_used)]

mod changes;
mod links;

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
        Self::inside(&std::env::temp_dir())
    }

    fn inside(folder: &Path) -> Self {
        let temp = tempfile::tempdir_in(folder).unwrap();
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
async fn four_thousand_levels_use_up_neither_the_stack_nor_the_open_files() {
    const LEVELS: usize = 4_000;
    // In memory where there is such a place: making and removing the folders is what takes the time here.
    let memory = Path::new("/dev/shm");
    let tree = if memory.is_dir() {
        Tree::inside(memory)
    } else {
        Tree::new()
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut here = rustix::fs::open(tree.at(""), flags, Mode::empty()).unwrap();
    for level in 0..LEVELS {
        // Some before the folder and some after it, which must be found again on the way up.
        if level % 20 == 10 {
            for name in ["a", "z"] {
                let file = rustix::fs::openat(&here, name, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
                rustix::io::write(file, b"deep").unwrap();
            }
        }
        rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, "d", flags, Mode::empty()).unwrap();
    }
    let source = tree.source();
    let items = items(&source).await;
    assert_eq!(items.len(), 2 * LEVELS / 20);
    let mut lengths = Vec::new();
    for item in &items {
        let Item::Entry(entry) = item else { panic!("{item:?}") };
        assert_eq!(entry.size, 4);
        lengths.push(entry.path.as_bytes().len());
    }
    let (down, up) = lengths.split_at(LEVELS / 20);
    assert!(down.is_sorted() && up.iter().rev().eq(down), "{lengths:?}");
    let Item::Entry(deepest) = &items[LEVELS / 20] else {
        panic!("{:?}", items[LEVELS / 20])
    };
    let body = source.open(&CommitId::new("any"), deepest).await.unwrap();
    assert_eq!(bytes(body).await.unwrap(), b"deep");
    // Removed in pieces from the top, since one recursive removal does use up the open files.
    let piece = format!("d{}", "/d".repeat(400));
    loop {
        let more = fs::rename(tree.at(&piece), tree.at("up")).is_ok();
        fs::remove_dir_all(tree.at("d")).unwrap();
        if !more {
            break;
        }
        fs::rename(tree.at("up"), tree.at("d")).unwrap();
    }
}
