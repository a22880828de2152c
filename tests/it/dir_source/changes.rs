//! Files that change, go or cannot be read.

use super::*;

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
    const NAME: &str = "dir_source::changes::what_cannot_be_read_fails_alone_and_gives_a_commit_of_its_own";
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
