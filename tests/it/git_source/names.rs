//! What a path and a revision mean, and what is said where they mean nothing.

use lakesync::source::git::{GitConfig, GitSource};
use lakesync::source::{Source as _, SourceError};

use super::repository::Repository;
use super::{head_paths, open, open_at};

fn refusal(path: impl Into<std::path::PathBuf>, reference: &str) -> SourceError {
    open_at(path, reference).err().unwrap()
}

#[tokio::test]
async fn branches_tags_and_revisions_are_named_for_what_they_are() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a"]);
    repository.git(&["tag", "-a", "-m", "one", "v1"]);
    let second = repository.commit_files(&["b"]);
    repository.git(&["branch", "feature/x"]);
    let short = first.as_str()[..8].to_owned();
    for (reference, named, commit, is_branch) in [
        ("main", "refs/heads/main", &second, true),
        ("refs/heads/main", "refs/heads/main", &second, true),
        ("HEAD", "refs/heads/main", &second, true),
        ("feature/x", "refs/heads/feature/x", &second, true),
        ("v1", "refs/tags/v1", &first, false),
        ("refs/tags/v1", "refs/tags/v1", &first, false),
        ("HEAD~1", "HEAD~1", &first, false),
        ("main^{/files}~1", "main^{/files}~1", &first, false),
        (short.as_str(), short.as_str(), &first, false),
        (first.as_str(), first.as_str(), &first, false),
    ] {
        let source = open_at(&repository.path, reference).unwrap();
        assert!(source.name().ends_with(&format!("/.git#{named}")), "{}", source.name());
        assert_eq!(&source.head().await.unwrap(), commit, "{reference}");
        assert_eq!(source.is_branch(), is_branch, "{reference}");
    }
}

#[tokio::test]
async fn a_branch_comes_before_a_tag_of_the_same_name() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    repository.git(&["tag", "both"]);
    let newer = repository.commit_files(&["b"]);
    repository.git(&["branch", "both"]);
    let source = open_at(&repository.path, "both").unwrap();
    assert!(source.name().ends_with("#refs/heads/both"));
    assert_eq!(source.head().await.unwrap(), newer);
}

#[tokio::test]
async fn the_branch_of_the_worktree_is_pinned_when_opened() {
    let repository = Repository::new();
    let main = repository.commit_files(&["a"]);
    let source = open(&repository.path).unwrap();
    repository.git(&["checkout", "-q", "-b", "other"]);
    repository.commit_files(&["b"]);
    assert_eq!(source.head().await.unwrap(), main);
}

#[tokio::test]
async fn a_detached_head_is_read_and_is_no_branch() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    repository.git(&["checkout", "-q", "--detach"]);
    let source = open(&repository.path).unwrap();
    assert!(
        source.name().ends_with("#HEAD") && !source.is_branch(),
        "{}",
        source.name()
    );
    assert_eq!(head_paths(&source).await, ["a"]);
}

#[test]
fn a_clone_is_named_by_its_origin_without_credentials() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    for (url, named) in [
        (
            "https://user:secret@host.example/x.git",
            "git:https://host.example/x.git#refs/heads/main",
        ),
        ("git@host.example:x.git", "git:git@host.example:x.git#refs/heads/main"),
        ("/srv/x.git", "git:/srv/x.git#refs/heads/main"),
    ] {
        repository.git(&["config", "remote.origin.url", url]);
        assert_eq!(open(&repository.path).unwrap().name(), named);
    }
    repository.git(&["config", "remote.origin.url", "../elsewhere"]);
    assert!(
        open(&repository.path)
            .unwrap()
            .name()
            .ends_with("/repository/.git#refs/heads/main")
    );
}

#[test]
fn a_name_that_is_not_there_gets_those_that_are_near() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    repository.git(&["branch", "release-2024"]);
    repository.git(&["branch", "zebra"]);
    repository.git(&["tag", "release-2025"]);
    let SourceError::NoSuchRef { name, near, .. } = refusal(&repository.path, "relaese-2024") else {
        panic!("another error");
    };
    assert_eq!(
        (name.as_str(), near),
        (
            "relaese-2024",
            vec!["release-2024".to_owned(), "release-2025".to_owned()]
        )
    );
    for nothing in [
        "HEAD~5",
        "main:a",
        "main..zebra",
        "",
        "--all",
        "deadbeef",
        "main^{tree}",
    ] {
        let error = refusal(&repository.path, nothing);
        assert!(matches!(error, SourceError::NoSuchRef { .. }), "{nothing}: {error}");
    }
}

#[test]
fn an_unborn_branch_is_told_from_a_missing_one() {
    let repository = Repository::new();
    let error = open(&repository.path).err().unwrap();
    assert!(
        matches!(&error, SourceError::Unborn { name, .. } if name == "main"),
        "{error}"
    );
    assert!(matches!(refusal(&repository.path, "main"), SourceError::Unborn { .. }));
    assert!(matches!(
        refusal(&repository.path, "other"),
        SourceError::NoSuchRef { .. }
    ));
}

#[test]
fn a_remote_url_is_refused_with_the_cure_and_without_its_secret() {
    for url in [
        "https://user:secret@host.example/x.git",
        "https://secret@host.example/x.git",
        "ssh://git:secret@host.example/x.git",
        "ssh://git@host.example/x.git",
        "git@host.example:x.git",
        "file:///srv/x.git",
    ] {
        let error = open(url).err().unwrap();
        assert!(matches!(error, SourceError::RemoteRepository { .. }), "{url}: {error}");
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("git clone --mirror") && !text.contains("secret"),
            "{text}"
        );
    }
}

#[test]
fn paths_that_are_no_repository_are_told_apart() {
    let repository = Repository::new();
    repository.commit_files(&["sub/a"]);
    let error = open(repository.path.join("nothing")).err().unwrap();
    assert!(matches!(error, SourceError::NoSuchPath { .. }), "{error}");
    let error = open(repository.path.join("sub/a")).err().unwrap();
    assert!(matches!(error, SourceError::NotADirectory { .. }), "{error}");
    let error = open(repository.path.join("sub/a/b")).err().unwrap();
    assert!(matches!(error, SourceError::NoSuchPath { .. }), "{error}");
    // A folder inside a worktree is not the repository.
    let error = open(repository.path.join("sub")).err().unwrap();
    assert!(matches!(error, SourceError::Repository { .. }), "{error}");
    let name = "x".repeat(300);
    assert!(matches!(open(name).err().unwrap(), SourceError::NoSuchPath { .. }));
}

#[test]
fn a_repository_of_somebody_else_is_refused_just_when_git_refuses_it() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let path = repository.path.to_str().unwrap();
    for folder in [repository.path.join(".git"), repository.path.clone()] {
        // Only root can give a folder away; whoever is not root has seen nothing here.
        if std::os::unix::fs::chown(&folder, Some(54_321), None).is_err() {
            return;
        }
    }
    let opened = open(&repository.path);
    if Repository::git_agrees_outside(&["-C", path, "rev-parse", "HEAD"]) {
        // Whoever runs this trusts every repository.
        opened.unwrap();
    } else {
        let error = opened.err().unwrap();
        assert!(matches!(error, SourceError::ForeignRepository { .. }), "{error}");
        assert!(error.to_string().contains("safe.directory"));
    }
}

#[tokio::test]
async fn no_hook_filter_or_program_of_the_repository_runs() {
    let repository = Repository::new();
    repository.write(".gitattributes", "* filter=trap diff=trap\n");
    repository.commit_files(&["a"]);
    let trap = repository.beside("trap");
    let command = format!("touch {}; cat", trap.display());
    for key in [
        "filter.trap.smudge",
        "filter.trap.clean",
        "diff.trap.textconv",
        "core.fsmonitor",
        "core.pager",
    ] {
        repository.git(&["config", key, &command]);
    }
    let source = GitSource::open(GitConfig::new(&repository.path)).unwrap();
    assert_eq!(super::head_contents(&source).await["a"], b"a");
    assert!(!trap.exists());
}
