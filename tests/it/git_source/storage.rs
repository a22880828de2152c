//! Every way in which Git keeps objects and refs gives the same tree.

use lakesync::model::{CommitId, GitId};
use lakesync::source::git::{GitConfig, GitSource};
use lakesync::source::{Source as _, SourceError};

use super::repository::Repository;
use super::{entries_of, head_contents, head_paths, open, open_at};

#[tokio::test]
async fn a_repack_and_packed_refs_change_nothing_even_for_an_open_source() {
    let repository = Repository::new();
    repository.commit_files(&["a", "b/c", "b/d/e"]);
    let source = open(&repository.path).unwrap();
    let loose = head_contents(&source).await;
    assert_eq!(loose.keys().collect::<Vec<_>>(), ["a", "b/c", "b/d/e"]);
    repository.git(&["repack", "-a", "-d", "-q"]);
    repository.git(&["prune-packed"]);
    repository.git(&["pack-refs", "--all"]);
    assert!(!repository.path.join(".git/refs/heads/main").exists());
    assert_eq!(head_contents(&source).await, loose);
    assert_eq!(head_contents(&open(&repository.path).unwrap()).await, loose);
}

#[tokio::test]
async fn the_head_follows_commits_resets_and_packing_while_open() {
    let repository = Repository::new();
    let first = repository.commit_files(&["a"]);
    let source = open(&repository.path).unwrap();
    let second = repository.commit_files(&["b"]);
    assert_eq!(source.head().await.unwrap(), second);
    for pointed_to in [&first, &second, &first] {
        repository.git(&["update-ref", "refs/heads/main", pointed_to.as_str()]);
        repository.git(&["pack-refs", "--all"]);
        assert_eq!(&source.head().await.unwrap(), pointed_to);
    }
    repository.git(&["branch", "other"]);
    repository.git(&["update-ref", "-d", "refs/heads/main"]);
    let gone = source.head().await.unwrap_err();
    assert!(matches!(gone, SourceError::Unborn { .. }), "{gone}");
}

#[tokio::test]
async fn objects_of_an_alternate_are_read() {
    let repository = Repository::new();
    repository.commit_files(&["a", "b/c"]);
    let shared = repository.beside("shared");
    repository.git(&["clone", "-q", "--shared", ".", shared.to_str().unwrap()]);
    assert!(shared.join(".git/objects/info/alternates").exists());
    let contents = head_contents(&open(&shared).unwrap()).await;
    assert_eq!(contents, head_contents(&open(&repository.path).unwrap()).await);
}

#[tokio::test]
async fn a_linked_worktree_has_its_own_branch_and_the_common_name() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let linked = repository.beside("linked");
    repository.git(&["worktree", "add", "-q", "-b", "side", linked.to_str().unwrap()]);
    std::fs::write(linked.join("b"), "b").unwrap();
    repository.git_in(&linked, &["add", "b"]);
    repository.git_in(&linked, &["commit", "-qm", "b"]);
    let common = repository.path.join(".git").canonicalize().unwrap();
    for path in [
        linked.clone(),
        linked.join(".git"),
        repository.path.join(".git/worktrees/linked"),
    ] {
        let source = open(path).unwrap();
        assert_eq!(head_paths(&source).await, ["a", "b"]);
        assert_eq!(source.name(), format!("git:{}#refs/heads/side", common.display()));
    }
    let main = open_at(&linked, "main").unwrap();
    assert_eq!(head_paths(&main).await, ["a"]);
}

#[tokio::test]
async fn a_bare_repository_and_a_git_folder_are_read() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let bare = repository.beside("bare.git");
    repository.git(&["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    for path in [bare, repository.path.join(".git")] {
        assert_eq!(head_paths(&open(path).unwrap()).await, ["a"]);
    }
}

#[tokio::test]
async fn a_sha256_repository_is_read_with_its_own_ids() {
    let repository = Repository::with(&["--object-format=sha256"]);
    let commit = repository.commit_files(&["a", "b/c"]);
    assert_eq!(commit.as_str().len(), 64);
    let source = open(&repository.path).unwrap();
    // Each is checked against its id while it is read.
    assert_eq!(head_contents(&source).await["b/c"], b"b/c");
    let entries = entries_of(&source, &commit).await;
    assert!(matches!(entries[0].content.git, Some(GitId::Sha256(_))));
    let sha1 = CommitId::new("1".repeat(40));
    assert!(!source.contains(&sha1).await.unwrap());
}

#[tokio::test]
async fn replaced_objects_are_not_seen() {
    let repository = Repository::new();
    repository.commit_files(&["a"]);
    let (old, new) = (repository.blob(b"a"), repository.blob(b"something else"));
    repository.git(&["replace", &old, &new]);
    assert_eq!(head_contents(&open(&repository.path).unwrap()).await["a"], b"a");
}

/// A repository that says it keeps its refs in a reftable, and a git that says what the test wants.
fn reftable(answers: &str) -> (Repository, GitConfig, CommitId) {
    let repository = Repository::new();
    let commit = repository.commit_files(&["a"]);
    repository.git(&["config", "core.repositoryFormatVersion", "1"]);
    repository.git(&["config", "extensions.refStorage", "reftable"]);
    // As Git leaves it for programs that do not know reftables.
    std::fs::write(repository.path.join(".git/HEAD"), "ref: refs/heads/.invalid\n").unwrap();
    let program = repository.beside("git");
    repository.program(&program, answers);
    let config = GitConfig {
        git_program: program,
        ..GitConfig::new(&repository.path)
    };
    (repository, config, commit)
}

#[test]
fn a_reftable_needs_a_git_that_knows_it() {
    let (_repository, config, _) = reftable("echo git version 2.39.5");
    let error = GitSource::open(config.clone()).err().unwrap().to_string();
    assert!(
        error.contains("\"reftable\"") && error.contains("2.45") && error.contains("(found 2.39)"),
        "{error}"
    );
    let config = GitConfig {
        git_program: "/nowhere/git".into(),
        ..config
    };
    let error = GitSource::open(config).err().unwrap();
    assert!(matches!(error, SourceError::RefFormat { .. }), "{error}");
}

#[tokio::test]
async fn a_new_git_is_asked_for_the_refs_of_a_reftable() {
    let (repository, config, commit) = reftable("");
    repository.program(
        &config.git_program,
        &format!(
            r#"[ -z "$GIT_DIR" ] || exit 3
            case "$*" in
            *--version) echo git version 2.45.0 ;;
            *--git-dir\ {git_dir}\ symbolic-ref\ --quiet\ HEAD) echo refs/heads/main ;;
            *show-ref\ --verify\ --quiet\ --\ refs/heads/main) ;;
            *rev-parse\ *--end-of-options\ refs/heads/main^{{commit}}) echo {commit} ;;
            *for-each-ref*) echo refs/heads/main; echo refs/tags/v1 ;;
            *show-ref*|*rev-parse*) exit 1 ;;
            *) echo "asked: $*" >&2; exit 2 ;;
            esac"#,
            git_dir = repository.path.join(".git").display()
        ),
    );
    for reference in [None, Some("main".to_owned())] {
        let source = GitSource::open(GitConfig {
            reference,
            ..config.clone()
        })
        .unwrap();
        assert!(source.name().ends_with("#refs/heads/main") && source.is_branch());
        assert_eq!(head_contents(&source).await["a"], b"a");
    }
    let error = GitSource::open(GitConfig {
        reference: Some("maim".to_owned()),
        ..config
    });
    assert!(error.err().unwrap().to_string().ends_with("\"maim\"; there are main"));
}
