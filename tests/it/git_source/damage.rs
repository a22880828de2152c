//! Objects that are not there, or not as Git writes them.

use lakesync::causes::with_causes;
use lakesync::model::CommitId;
use lakesync::source::{Source as _, SourceError};

use super::repository::Repository;
use super::{entries_of, head_paths, items_of, open};

#[tokio::test]
async fn a_missing_blob_fails_the_tree_and_names_the_file() {
    let repository = Repository::new();
    let head = repository.commit_files(&["a", "b/c"]);
    let source = open(&repository.path).unwrap();
    let entry = entries_of(&source, &head).await.remove(1);
    std::fs::remove_file(repository.object_file(&repository.git(&["rev-parse", "HEAD:b/c"]))).unwrap();
    let error = source.open(&head, &entry).await.err().unwrap();
    assert!(error.is_about_one_file());
    let text = with_causes(&items_of(&source, &head).await.unwrap_err());
    assert!(text.starts_with("b/c: ") && text.contains("git fsck"), "{text}");
    assert!(source.contains(&head).await.unwrap());
}

#[tokio::test]
async fn a_damaged_blob_is_an_error_and_no_panic() {
    use std::os::unix::fs::PermissionsExt as _;
    let repository = Repository::new();
    let head = repository.commit_files(&["a"]);
    let file = repository.object_file(&repository.git(&["rev-parse", "HEAD:a"]));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&file, b"this is not zlib").unwrap();
    let error = items_of(&open(&repository.path).unwrap(), &head).await.unwrap_err();
    assert!(with_causes(&error).contains("git fsck"), "{}", with_causes(&error));
}

#[tokio::test]
async fn a_commit_that_was_pruned_is_not_contained_and_compares_with_nothing() {
    let repository = Repository::new();
    let base = repository.commit_files(&["a"]);
    let lost = repository.commit_files(&["b"]);
    let source = open(&repository.path).unwrap();
    let lost_entry = entries_of(&source, &lost).await.remove(1);
    repository.git(&["reset", "-q", "--hard", base.as_str()]);
    repository.git(&["reflog", "expire", "--expire=now", "--all"]);
    repository.git(&["gc", "-q", "--prune=now"]);
    for source in [source, open(&repository.path).unwrap()] {
        assert!(!source.contains(&lost).await.unwrap());
        assert!(source.contains(&base).await.unwrap());
        assert!(source.changes(&lost, &base).await.unwrap().is_none());
        assert!(source.changes(&base, &lost).await.unwrap().is_none());
        let error = source.open(&lost, &lost_entry).await.err().unwrap();
        assert!(matches!(error, SourceError::Object { .. }), "{error}");
        assert_eq!(head_paths(&source).await, ["a"]);
    }
}

#[tokio::test]
async fn a_commit_of_which_a_folder_is_gone_compares_with_nothing() {
    let repository = Repository::new();
    let old = repository.commit_files(&["a", "sub/b"]);
    std::fs::remove_file(repository.object_file(&repository.git(&["rev-parse", "HEAD:sub"]))).unwrap();
    let tree = repository.git(&["rev-parse", "HEAD:a"]);
    let tree = repository.raw_tree(&[("100644", b"a", &tree)]);
    let new = repository.commit_tree(&tree);
    let source = open(&repository.path).unwrap();
    assert!(source.contains(&old).await.unwrap());
    assert!(source.changes(&old, &new).await.unwrap().is_none());
}

#[tokio::test]
async fn ids_that_are_no_commits_are_not_contained() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let source = open(&repository.path).unwrap();
    let (blob, tree) = (repository.id("HEAD:a"), repository.id("HEAD^{tree}"));
    let short = CommitId::new(repository.git(&["rev-parse", "--short", "HEAD"]));
    for id in [blob, tree, short, CommitId::new("HEAD"), CommitId::new("")] {
        assert!(!source.contains(&id).await.unwrap(), "{id}");
        assert!(source.tree(&id).await.unwrap().collect().await.is_err(), "{id}");
    }
}

#[tokio::test]
async fn a_shallow_clone_has_its_head_and_says_how_to_get_the_rest() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a"]);
    let second = repository.commit_files(&["b"]);
    let (shallow, url) = (
        repository.beside("shallow"),
        format!("file://{}", repository.path.display()),
    );
    repository.git(&["clone", "-q", "--depth=1", &url, shallow.to_str().unwrap()]);
    let source = open(&shallow).unwrap();
    assert_eq!(head_paths(&source).await, ["a", "b"]);
    assert!(source.contains(&second).await.unwrap() && !source.contains(&first).await.unwrap());
    assert!(source.changes(&first, &second).await.unwrap().is_none());
    let text = with_causes(&items_of(&source, &first).await.unwrap_err());
    assert!(text.contains("--unshallow"), "{text}");
}

#[tokio::test]
async fn a_partial_clone_says_how_to_make_it_whole_and_fetches_nothing() {
    let repository = Repository::new();
    let head = repository.commit_files(&["a"]);
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    let (partial, url) = (
        repository.beside("partial"),
        format!("file://{}", repository.path.display()),
    );
    let partial_path = partial.to_str().unwrap();
    repository.git(&["clone", "-q", "--filter=blob:none", "--no-checkout", &url, partial_path]);
    let source = open(&partial).unwrap();
    assert!(source.contains(&head).await.unwrap());
    let text = with_causes(&items_of(&source, &head).await.unwrap_err());
    assert!(text.starts_with("a: ") && text.contains("partial clone"), "{text}");
}

#[tokio::test]
async fn trees_that_git_would_not_write_are_refused() {
    let repository = Repository::new();
    repository.commit("start");
    let (file, sub) = (repository.blob(b"x"), repository.raw_tree(&[]));
    let folder = repository.raw_tree(&[("100644", b"y", &file)]);
    for (children, what) in [
        (
            vec![("100644", &b"b"[..], &file), ("100644", b"a", &file)],
            "not in order",
        ),
        (vec![("100644", b"a", &file), ("100644", b"a", &file)], "not in order"),
        (vec![("40000", b"a", &folder), ("100644", b"a-", &file)], "not in order"),
        (vec![("100644", b"a/b", &file)], "holds a slash"),
        (vec![("100644", b"", &file)], "is empty"),
        (vec![("40000", b"", &folder)], "is empty"),
        (vec![("20000", b"a", &file)], "mode is unknown"),
        (vec![("100644", b"a", &sub)], "not a blob, but a tree"),
        (vec![("40000", b"a", &file)], "not a tree, but a blob"),
    ] {
        let children: Vec<_> = children
            .iter()
            .map(|(mode, name, id)| (*mode, *name, id.as_str()))
            .collect();
        let commit = repository.commit_tree(&repository.raw_tree(&children));
        let text = with_causes(&items_of(&open(&repository.path).unwrap(), &commit).await.unwrap_err());
        assert!(text.contains(what), "{what}: {text}");
    }
}
