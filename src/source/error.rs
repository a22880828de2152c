//! What can go wrong with a source.

use std::path::PathBuf;

use super::lakefs::{LakeFsError, LakeFsErrorKind};
use crate::model::{CommitId, RelPath};

/// Any cause that is worth showing and that nobody acts on.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong with a source; each message names the thing and the cure.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("{}: no such file or directory", path.display())]
    NoSuchPath {
        /// What was looked for.
        path: PathBuf,
    },
    /// Something is there, and it is no directory.
    #[error("{}: not a directory", path.display())]
    NotADirectory {
        /// What was looked at.
        path: PathBuf,
    },
    /// The directory is no Git repository, or one that cannot be opened.
    #[error("{}: cannot be opened as a Git repository", path.display())]
    Repository {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: BoxError,
    },
    /// A remote URL was given.
    #[error("{url}: remote repositories are not read; run `git clone --mirror {url}` and export the clone")]
    RemoteRepository {
        /// What was given.
        url: String,
    },
    /// The repository belongs to somebody else, as Git's `safe.directory` sees it.
    #[error("{}: belongs to another user; run `git config --global --add safe.directory {}` if you trust it", path.display(), path.display())]
    ForeignRepository {
        /// The repository.
        path: PathBuf,
    },
    /// The repository keeps its refs in a way that cannot be read.
    #[error("{}: keeps its refs as {format:?}, which needs git 2.45 or later on PATH ({found})", path.display())]
    RefFormat {
        /// The repository.
        path: PathBuf,
        /// The format.
        format: String,
        /// What was found instead.
        found: String,
    },
    /// No branch, tag or revision of that name.
    #[error("{repository}: no branch, tag or commit {name:?}{}", near_text(near))]
    NoSuchRef {
        /// The repository.
        repository: String,
        /// The name.
        name: String,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// No commit has that id, or several begin with it.
    #[error(
        "{repository}: no branch, tag or commit {id:?}; the beginning of a commit id must belong to one commit alone"
    )]
    NoSuchCommitId {
        /// The repository.
        repository: String,
        /// The id, or its beginning.
        id: String,
    },
    /// The branch has no commit yet.
    #[error("{repository}: branch {name:?} has no commit yet; commit something first")]
    Unborn {
        /// The repository.
        repository: String,
        /// The branch.
        name: String,
    },
    /// An object of a commit is missing or damaged.
    #[error("{path}: cannot be read at commit {}", commit.short())]
    Object {
        /// The file or folder.
        path: String,
        /// The commit.
        commit: CommitId,
        /// Why.
        source: BoxError,
    },
    /// An object's bytes do not have its id.
    #[error("{path}: the bytes read do not have the id of the file; the repository is damaged (run `git fsck`)")]
    Damaged {
        /// The file.
        path: RelPath,
    },
    /// The file changed or vanished while it was read.
    #[error("{path}: changed while it was read")]
    Changed {
        /// The file.
        path: RelPath,
    },
    /// A file or folder could not be read.
    #[error("{}: {action}", path.display())]
    Io {
        /// What was done: "cannot be opened".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Paths that a policy flag forbids; the cure is in the text.
    #[error("{}", refused_text(what, paths, *total, cure))]
    Refused {
        /// What they are: "symlinks".
        what: &'static str,
        /// The first of them.
        paths: Vec<RelPath>,
        /// How many there are.
        total: u64,
        /// The flag that lets them through.
        cure: &'static str,
    },
    /// A link leads out of the tree, or in a circle.
    #[error("{path}: {problem}; use `--symlinks skip` or mend the link")]
    Link {
        /// The link.
        path: RelPath,
        /// What is wrong.
        problem: &'static str,
    },
    /// The directory was replaced, unmounted or deleted since it was opened: not an empty tree.
    #[error("{}: replaced, unmounted or deleted while lakesync ran; look at it, then run again", path.display())]
    RootChanged {
        /// The directory.
        path: PathBuf,
    },
    /// A directory has no history: only what its newest scan saw can be read.
    #[error("{name}: no longer as it was at {}; run again to publish it as it is now", commit.as_str())]
    CommitGone {
        /// The source.
        name: String,
        /// What was asked for.
        commit: CommitId,
    },
    /// A table of a lakeFS commit cannot be used.
    #[error(transparent)]
    Table(#[from] super::lakefs::ranges::UnusableTable),
    /// A lakeFS server does not give what was asked for.
    #[error(transparent)]
    LakeFs(#[from] Box<LakeFsError>),
    /// The producer of a stream died.
    #[error("the source stopped before its end")]
    Interrupted,
    /// A double was told to fail.
    #[error("a fault was injected into the source")]
    Injected,
}

impl SourceError {
    /// Whether what a commit names is not there any more.
    pub(crate) fn is_data_gone(&self) -> bool {
        matches!(self, Self::LakeFs(error) if error.kind == LakeFsErrorKind::DataGone)
    }

    /// Whether it concerns one file, so that the others can go on.
    pub fn is_about_one_file(&self) -> bool {
        match self {
            Self::Changed { .. } | Self::Io { .. } | Self::Damaged { .. } | Self::Object { .. } => true,
            Self::LakeFs(error) => error.is_about_one_file(),
            _ => false,
        }
    }
}

fn near_text(near: &[String]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!("; there are {}", near.join(", "))
    }
}

fn refused_text(what: &str, paths: &[RelPath], total: u64, cure: &str) -> String {
    let shown: Vec<String> = paths.iter().take(20).map(ToString::to_string).collect();
    let more = total.saturating_sub(shown.len() as u64);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("the tree holds {total} {what}: {}{more}; {cure}", shown.join(", "))
}
