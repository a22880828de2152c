//! Names, modes, sizes, and what becomes of that which is no plain file.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use lakesync::model::{CommitId, NoticeKind};
use lakesync::source::git::{GitConfig, GitSource};
use lakesync::source::{Body, Filter, LfsPolicy, SkipOrError, Source as _, SourceError, SymlinkPolicy};

use super::repository::Repository;
use super::{changes_of, entries_of, head_contents, head_paths, items_of, notices, open, read};

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";

fn with(repository: &Repository, change: impl FnOnce(&mut GitConfig)) -> GitSource {
    let mut config = GitConfig::new(&repository.path);
    change(&mut config);
    GitSource::open(config).unwrap()
}

fn following(repository: &Repository) -> GitSource {
    with(repository, |config| config.symlinks = SymlinkPolicy::FollowInside)
}

fn globs(include: &[&str], exclude: &[&str]) -> Filter {
    let own = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
    Filter::new(&own(include), &own(exclude)).unwrap()
}

async fn error_of(source: &GitSource) -> SourceError {
    let head = source.head().await.unwrap();
    items_of(source, &head).await.unwrap_err()
}

#[tokio::test]
async fn names_of_any_bytes_come_through_in_path_order() {
    let repository = Repository::new();
    let long = [b'x'; 255];
    let names: [&[u8]; 9] = [
        b"a\nb",
        b"\xff\xfe/\xc3",
        b"a",
        b"b/c d",
        b"b-",
        b"b.",
        b"b0",
        "\u{e9}".as_bytes(),
        &long,
    ];
    for name in names {
        repository.write_bytes_name(name, name);
    }
    let commit = repository.commit("odd names");
    let source = open(&repository.path).unwrap();
    let entries = entries_of(&source, &commit).await;
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    assert_eq!(
        entries.iter().map(|entry| entry.path.as_bytes()).collect::<Vec<_>>(),
        sorted
    );
    for entry in &entries {
        assert_eq!(read(&source, &commit, entry).await, entry.path.as_bytes());
    }
}

#[tokio::test]
async fn modes_and_sizes_are_those_of_git() {
    let repository = Repository::new();
    repository.write("empty", "");
    repository.write("plain", "12345");
    repository.write("run", "12");
    std::fs::set_permissions(repository.path.join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let commit = repository.commit("modes");
    let source = open(&repository.path).unwrap();
    let entries = entries_of(&source, &commit).await;
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.size, entry.attributes.mode))
        .collect();
    assert_eq!(seen, [(0, Some(0o100_644)), (5, Some(0o100_644)), (2, Some(0o100_755))]);
    assert!(entries.iter().all(|entry| entry.attributes.mtime_unix.is_none()));
    let empty = source
        .open(&commit, &entries[0])
        .await
        .unwrap()
        .next_chunk()
        .await
        .unwrap();
    assert_eq!(empty, None);
}

#[tokio::test]
async fn a_commit_of_the_empty_tree_is_a_tree_without_files() {
    let repository = Repository::new();
    let commit = repository.commit("nothing");
    let source = open(&repository.path).unwrap();
    assert!(items_of(&source, &commit).await.unwrap().is_empty());
    assert!(source.contains(&commit).await.unwrap());
}

#[tokio::test]
async fn a_large_blob_comes_in_slices_and_whole() {
    let repository = Repository::new();
    let bytes: Vec<u8> = (0..9_u32 << 18)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    repository.write("large", &bytes);
    repository.write("small", &bytes[..8 << 20]);
    let commit = repository.commit("large");
    let source = open(&repository.path).unwrap();
    let entries = entries_of(&source, &commit).await;
    assert!(matches!(
        source.open(&commit, &entries[0]).await.unwrap(),
        Body::Chunks(_)
    ));
    assert!(matches!(
        source.open(&commit, &entries[1]).await.unwrap(),
        Body::Whole(_)
    ));
    assert!(read(&source, &commit, &entries[0]).await == bytes);
}

#[tokio::test]
async fn symlinks_are_skipped_and_told_or_refused_together() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    for name in 0..25 {
        symlink("nowhere", repository.path.join(format!("link{name:02}"))).unwrap();
    }
    let commit = repository.commit("links");
    let source = open(&repository.path).unwrap();
    let told = notices(&items_of(&source, &commit).await.unwrap());
    assert_eq!(told.len(), 25);
    assert_eq!(told[0], (NoticeKind::Symlink, "link00".to_owned()));
    assert_eq!(head_paths(&source).await, ["a"]);
    let refusing = with(&repository, |config| config.symlinks = SymlinkPolicy::Error);
    let error = error_of(&refusing).await;
    let SourceError::Refused { paths, total, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((paths.len(), *total), (20, 25));
    assert!(error.to_string().contains("--symlinks skip"), "{error}");
    let excluding = with(&repository, |config| {
        config.symlinks = SymlinkPolicy::Error;
        config.filter = globs(&[], &["link*"]);
    });
    assert_eq!(head_paths(&excluding).await, ["a"]);
}

#[tokio::test]
async fn submodules_are_skipped_and_told_or_refused() {
    let repository = Repository::new();
    let commit = repository.commit_files(&["a"]);
    let cache = format!("160000,{commit},vendor/module");
    repository.git(&["update-index", "--add", "--cacheinfo", &cache]);
    repository.git(&["commit", "-qm", "submodule"]);
    let head = repository.id("HEAD");
    let source = open(&repository.path).unwrap();
    let told = notices(&items_of(&source, &head).await.unwrap());
    assert_eq!(told, [(NoticeKind::Submodule, "vendor/module".to_owned())]);
    assert_eq!(changes_of(&source, &commit, &head).await, ["Submodule:vendor/module"]);
    let refusing = with(&repository, |config| config.submodules = SkipOrError::Error);
    assert!(error_of(&refusing).await.to_string().contains("--submodules skip"));
    let excluding = with(&repository, |config| {
        config.submodules = SkipOrError::Error;
        config.filter = globs(&[], &["vendor/"]);
    });
    assert_eq!(head_paths(&excluding).await, ["a"]);
}

#[tokio::test]
async fn lfs_pointers_are_exported_and_told_or_refused() {
    let repository = Repository::new();
    repository.write("data.bin", LFS);
    repository.write("not.txt", format!("x{LFS}"));
    repository.write("too-long", format!("{LFS}{}", "x".repeat(1024)));
    let head = repository.commit("pointer");
    let source = open(&repository.path).unwrap();
    let told = notices(&items_of(&source, &head).await.unwrap());
    assert_eq!(told, [(NoticeKind::LfsPointer, "data.bin".to_owned())]);
    assert_eq!(head_contents(&source).await["data.bin"], LFS.as_bytes());
    let refusing = with(&repository, |config| config.lfs = LfsPolicy::Error);
    let error = error_of(&refusing).await.to_string();
    assert!(
        error.contains("1 Git LFS pointers: data.bin") && error.contains("--lfs pointer"),
        "{error}"
    );
}

#[tokio::test]
async fn filters_leave_out_files_and_whole_folders() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a.txt", "b.md", "docs/c.md", "tmp/d.md"]);
    let source = with(&repository, |config| config.filter = globs(&["*.md"], &["tmp/"]));
    assert_eq!(head_paths(&source).await, ["b.md", "docs/c.md"]);
    for name in ["a.txt", "docs/c.md", "tmp/d.md"] {
        repository.write(name, "new");
    }
    let second = repository.commit("all");
    assert_eq!(changes_of(&source, &first, &second).await, ["+docs/c.md"]);
}

/// A tree with a link for each thing that a link can do well.
fn linked() -> Repository {
    let repository = Repository::new();
    for name in ["data/x", "data/sub/y", "data-old", "data.txt", "deep/er/z"] {
        repository.write(name, name);
    }
    for (link, target) in [
        ("by-file", "data/x"),
        ("by-link", "by-file"),
        ("d", "data"),
        ("d-", "data.txt"),
        ("d.", "data-old"),
        ("deep/up", "../data/sub/"),
        ("deep/er/over", "./../up/y"),
        ("deep/er/self", "../er/z"),
    ] {
        symlink(target, repository.path.join(link)).unwrap();
    }
    repository
}

#[tokio::test]
async fn links_are_followed_to_files_and_folders_of_the_same_commit() {
    let repository = linked();
    repository.commit("links");
    let contents = head_contents(&following(&repository)).await;
    let expected = [
        ("by-file", "data/x"),
        ("by-link", "data/x"),
        ("d-", "data.txt"),
        ("d.", "data-old"),
        // A link to a folder sorts as the folder that it stands for.
        ("d/sub/y", "data/sub/y"),
        ("d/x", "data/x"),
        ("data-old", "data-old"),
        ("data.txt", "data.txt"),
        ("data/sub/y", "data/sub/y"),
        ("data/x", "data/x"),
        ("deep/er/over", "data/sub/y"),
        ("deep/er/self", "deep/er/z"),
        ("deep/er/z", "deep/er/z"),
        ("deep/up/y", "data/sub/y"),
    ];
    let seen: Vec<(&str, &str)> = contents
        .iter()
        .map(|(path, bytes)| (path.as_str(), std::str::from_utf8(bytes).unwrap()))
        .collect();
    assert_eq!(seen, expected);
    let paths = head_paths(&following(&repository)).await;
    assert_eq!(paths, expected.map(|(path, _)| path));
}

#[tokio::test]
async fn changes_are_left_to_the_whole_tree_where_links_are_followed() {
    let repository = linked();
    let head = repository.commit("links");
    assert!(following(&repository).changes(&head, &head).await.unwrap().is_none());
}

#[tokio::test]
async fn a_link_that_leads_astray_is_named() {
    for (link, target, problem) in [
        ("l", "/etc/passwd", "leads out of the tree"),
        ("sub/l", "../../outside", "leads out of the tree"),
        ("l", "nothing", "leads to nothing in the tree"),
        ("l", "a/b", "leads to nothing in the tree"),
        ("l", "l", "leads in a circle"),
        ("sub/l", ".", "leads in a circle"),
        ("sub/l", "..", "leads in a circle"),
        ("sub/deeper/l", "../../sub", "leads in a circle"),
    ] {
        let repository = Repository::new();
        repository.write("a", "a");
        repository.write("sub/deeper/b", "b");
        symlink(target, repository.path.join(link)).unwrap();
        repository.commit("astray");
        let error = error_of(&following(&repository)).await;
        let SourceError::Link { path, problem: said } = &error else {
            panic!("{link} -> {target}: {error}");
        };
        assert_eq!((path.to_string().as_str(), *said), (link, problem), "{target}");
        let excluding = with(&repository, |config| {
            config.symlinks = SymlinkPolicy::FollowInside;
            config.filter = globs(&[], &["l"]);
        });
        assert_eq!(
            head_paths(&excluding).await,
            ["a", "sub/deeper/b"],
            "{link} -> {target}"
        );
    }
}

#[tokio::test]
async fn a_circle_through_two_links_ends_at_the_link_that_closes_it() {
    let repository = Repository::new();
    repository.write("a/b/file", "x");
    symlink("..", repository.path.join("a/b/up")).unwrap();
    symlink("a/b", repository.path.join("0")).unwrap();
    repository.commit("circle");
    let error = error_of(&following(&repository)).await;
    assert!(
        matches!(&error, SourceError::Link { path, .. } if path.to_string() == "0/up"),
        "{error}"
    );
}

#[tokio::test]
async fn a_broken_link_that_no_include_wants_is_silent_and_a_folder_behind_one_is_searched() {
    let repository = Repository::new();
    repository.write("data/x.md", "x");
    repository.write("data/y.txt", "y");
    symlink("nothing", repository.path.join("broken")).unwrap();
    symlink("data", repository.path.join("shown")).unwrap();
    symlink("data/x.md", repository.path.join("file")).unwrap();
    repository.commit("links");
    let source = with(&repository, |config| {
        config.symlinks = SymlinkPolicy::FollowInside;
        config.filter = globs(&["*.md"], &[]);
    });
    assert_eq!(head_paths(&source).await, ["data/x.md", "shown/x.md"]);
}

#[tokio::test]
async fn several_kinds_are_refused_in_one_error() {
    let repository = Repository::new();
    repository.write("pointer", LFS);
    symlink("pointer", repository.path.join("link")).unwrap();
    let head: CommitId = repository.commit("both");
    let source = with(&repository, |config| {
        config.symlinks = SymlinkPolicy::Error;
        config.lfs = LfsPolicy::Error;
    });
    let error = items_of(&source, &head).await.unwrap_err().to_string();
    assert!(error.contains("holds 2 ") && error.contains("link, pointer"), "{error}");
    assert!(
        error.contains("--symlinks skip") && error.contains("--lfs pointer"),
        "{error}"
    );
}
