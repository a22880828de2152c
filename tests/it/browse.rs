//! Looking into a commit folder by folder gives the same files as reading its whole tree, whatever the source.

use std::collections::BTreeMap;
use std::sync::Arc;

use lakesync::model::{CommitId, Entry, RelPath};
use lakesync::source::git::{GitConfig, GitSource};
use lakesync::source::lakefs::ListingChoice;
use lakesync::source::memory::{MemoryFile, MemorySource};
use lakesync::source::{Browse, Child, DirConfig, DirSource, Filter, Item, Node, Source as _};

use crate::git_source::repository::Repository;
use crate::lakefs::server::{BlockStoreKind, LakeFsServer};
use crate::lakefs_export::world::World;

/// What one folder shows.
async fn children(source: &dyn Browse, at: &CommitId, folder: Option<&RelPath>) -> Vec<Child> {
    let items = source.folder(at, folder).await.unwrap().collect().await.unwrap();
    let children = items.into_iter().map(|item| match item {
        Item::Entry(child) => child,
        other => panic!("{other:?}"),
    });
    children.collect()
}

/// All files and links of a commit, by looking into each folder; each is found by its path, too.
async fn browsed(source: &dyn Browse, at: &CommitId) -> BTreeMap<RelPath, Node> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![None];
    while let Some(folder) = waiting.pop() {
        let shown = children(source, at, folder.as_ref()).await;
        let path_of = |child: &Child| {
            let mut path = folder
                .as_ref()
                .map_or_else(Vec::new, |folder| folder.as_bytes().to_vec());
            if folder.is_some() {
                path.push(b'/');
            }
            path.extend_from_slice(&child.name);
            // A folder of the root without a name has no path.
            RelPath::new(path).ok()
        };
        let sorted = |child: &Child| {
            let slash: &[u8] = if child.node == Node::Folder { b"/" } else { b"" };
            [&child.name, slash].concat()
        };
        assert!(
            shown.is_sorted_by(|left, right| sorted(left) < sorted(right)),
            "{shown:?}"
        );
        for child in shown {
            let Some(path) = path_of(&child) else { continue };
            let by_path = source.find(at, &path).await.unwrap();
            if child.node == Node::Folder {
                assert!(by_path.is_some(), "{path}");
                waiting.push(Some(path));
            } else {
                assert_eq!(by_path.as_ref(), Some(&child.node), "{path}");
                found.insert(path, child.node);
            }
        }
    }
    found
}

/// Holds what is seen folder by folder to the tree, and parts of files to the whole; gives the links.
async fn check(source: &dyn Browse, at: &CommitId) -> BTreeMap<RelPath, Node> {
    let mut found = browsed(source, at).await;
    let mut tree = source.tree(at).await.unwrap();
    let mut files = 0;
    while let Some(item) = tree.next().await.unwrap() {
        let Item::Entry(entry) = item else { continue };
        if entry.path.as_bytes().starts_with(b"/") {
            continue;
        }
        files += 1;
        assert_eq!(found.remove(&entry.path), Some(Node::File(entry.clone())));
        check_parts(source, at, &entry).await;
    }
    assert!(files > 0);
    let nothing = RelPath::new("no/such/path").unwrap();
    assert_eq!(source.find(at, &nothing).await.unwrap(), None);
    assert_eq!(children(source, at, Some(&nothing)).await, []);
    found
}

async fn check_parts(source: &dyn Browse, at: &CommitId, entry: &Entry) {
    let size = entry.size;
    let mut body = source.open(at, entry).await.unwrap();
    let mut whole = Vec::new();
    while let Some(chunk) = body.next_chunk().await.unwrap() {
        whole.extend_from_slice(&chunk);
    }
    for (from, to) in [
        (0, size),
        (0, 1),
        (1, size),
        (size / 2, size / 2 + 3),
        (size, size + 9),
        (size + 5, size + 6),
    ] {
        let mut body = source.read(at, entry, from..to).await.unwrap();
        let mut part = Vec::new();
        while let Some(chunk) = body.next_chunk().await.unwrap() {
            part.extend_from_slice(&chunk);
        }
        let clamped = |at: u64| usize::try_from(at.min(size)).unwrap();
        assert!(part == whole[clamped(from)..clamped(to)], "{} {from}..{to}", entry.path);
    }
}

#[tokio::test]
async fn git_shows_links_and_modes_and_of_a_submodule_an_empty_folder() {
    let repository = Repository::new();
    for (name, text) in [
        ("a", "file"),
        ("a-b/c", "x"),
        ("b/a", "1"),
        ("b/b/c/d", "deep"),
        ("b0", ""),
    ] {
        repository.write(name, text);
    }
    repository.write("big", vec![7; 9 << 20]);
    std::os::unix::fs::symlink("b/a", repository.path.join("link")).unwrap();
    repository.git(&["add", "--all"]);
    repository.git(&["update-index", "--chmod=+x", "b0"]);
    let module = "160000,1111111111111111111111111111111111111111,module";
    repository.git(&["update-index", "--add", "--cacheinfo", module]);
    repository.git(&["commit", "--quiet", "--message", "all"]);
    let source = GitSource::open(GitConfig::new(&repository.path)).unwrap();
    let head = source.head().await.unwrap();
    let links = check(&source, &head).await;
    let link = RelPath::new("link").unwrap();
    assert_eq!(links, BTreeMap::from([(link, Node::Link(b"b/a"[..].into()))]));
    let module = RelPath::new("module").unwrap();
    assert_eq!(source.find(&head, &module).await.unwrap(), Some(Node::Folder));
    assert_eq!(children(&source, &head, Some(&module)).await, []);
    let time: i64 = repository.git(&["log", "-1", "--format=%ct"]).parse().unwrap();
    assert_eq!(source.committed_at(&head).await.unwrap(), Some(time));
}

#[tokio::test]
async fn filters_count_when_folders_are_looked_into() {
    let repository = Repository::new();
    repository.commit_files(&["a/kept", "a/left.tmp", "b/kept", "tmp/left"]);
    let source = GitSource::open(GitConfig {
        filter: Filter::new(&[], &["*.tmp".to_owned(), "/tmp/".to_owned()]).unwrap(),
        ..GitConfig::new(&repository.path)
    })
    .unwrap();
    let head = source.head().await.unwrap();
    check(&source, &head).await;
    let root = children(&source, &head, None).await;
    let names: Vec<_> = root.iter().map(|child| &*child.name).collect();
    assert_eq!(names, [b"a", b"b"]);
}

#[tokio::test]
async fn a_directory_shows_what_its_scan_saw() {
    let folder = tempfile::tempdir().unwrap();
    for (name, size) in [("a/b/c", 10), ("a/d", 0), ("a.txt", 5_000), ("big", 9 << 20)] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, vec![b'x'; size]).unwrap();
    }
    let source = DirSource::open(DirConfig {
        path: folder.path().to_owned(),
        ..DirConfig::default()
    })
    .unwrap();
    let head = source.head().await.unwrap();
    check(&source, &head).await;
    // A part is not hashed, so nothing that was touched is taken for what was scanned.
    let path = RelPath::new("a.txt").unwrap();
    let Some(Node::File(entry)) = source.find(&head, &path).await.unwrap() else {
        panic!("it is a file")
    };
    let file = std::fs::File::options()
        .write(true)
        .open(folder.path().join("a.txt"))
        .unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert!(source.read(&head, &entry, 0..10).await.is_err());
}

#[tokio::test]
async fn the_double_in_memory_is_looked_into_like_the_others() {
    let source = MemorySource::new("memory:x");
    let files = ["/x", "a", "a/", "a//b", "a/b", "a/c/d", "b/c"];
    let files = files.map(|name| (RelPath::new(name).unwrap(), MemoryFile::new(name.repeat(700))));
    let head = source.commit(files.into());
    check(&source, &head).await;
}

#[tokio::test]
async fn lakefs_is_looked_into_by_ranges_and_by_pages_alike() {
    for block_store in [BlockStoreKind::S3, BlockStoreKind::Local] {
        let server = LakeFsServer::start(block_store).await;
        let world = World::new(&server).await;
        for key in ["a", "a/", "a//b", "a/b", "a/c/d", "a0", "b/c/d/e", "ä/ö ü", "a/c/+%?"] {
            world.repository.upload("main", key, key.repeat(100)).await;
        }
        world.repository.upload("main", "big", vec![b'x'; 5 << 20]).await;
        world.repository.commit("main", "files").await;
        let mut seen = Vec::new();
        for listing in [ListingChoice::Ranges, ListingChoice::Pages, ListingChoice::Auto] {
            let source = Arc::new(world.source(listing).await.unwrap());
            let head = source.head().await.unwrap();
            assert_eq!(check(source.as_ref(), &head).await, BTreeMap::new());
            seen.push(browsed(source.as_ref(), &head).await);
            assert!(source.committed_at(&head).await.unwrap().unwrap() > 1_600_000_000);
        }
        assert!(seen.iter().all(|found| *found == seen[0]));
    }
}
