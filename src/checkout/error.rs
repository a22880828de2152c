//! What can go wrong with a checkout.

use std::io;
use std::path::PathBuf;

use crate::model::RelPath;
use crate::source::SourceError;

/// What can go wrong with a checkout; each message names the thing and the cure.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Something is there, and it is no directory.
    #[error("{}: not a directory; name a folder, or one that does not exist yet", path.display())]
    NotADirectory {
        /// What is there.
        path: PathBuf,
    },
    /// Another checkout works in the folder.
    #[error("{}: another checkout is at work in this folder; wait for it, or stop it", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The folder holds another branch.
    #[error("{}: holds a checkout of {holds}, not of {wanted}; use another folder, or `--force` to turn it into this one", path.display())]
    OtherSource {
        /// The folder.
        path: PathBuf,
        /// What it holds.
        holds: String,
        /// What was asked for.
        wanted: String,
    },
    /// Files of the user's would be lost.
    #[error("{}", local_text(changes, *total))]
    LocalChanges {
        /// The first of them.
        changes: Vec<LocalChange>,
        /// How many there are.
        total: u64,
    },
    /// A file or folder could not be written or read.
    #[error("{}: {action}", path.display())]
    Io {
        /// What was done: "cannot be written".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A part of the tree could not be read, so nobody knows what belongs there.
    #[error("{path}: {error}")]
    Unreadable {
        /// The file or folder.
        path: RelPath,
        /// Why.
        error: String,
    },
    /// The bytes of a file are not those that the commit names.
    #[error("{path}: the source gives other bytes than the commit names; the file was not written")]
    OtherBytes {
        /// The file.
        path: RelPath,
    },
    /// It was told to stop.
    #[error("stopped; run the same command again to go on")]
    Stopped,
    /// The source cannot give what was asked for.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// A file of the user's that stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalChange {
    /// The file.
    pub path: RelPath,
    /// What is wrong with it.
    pub kind: LocalChangeKind,
}

/// The kinds of [`LocalChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalChangeKind {
    /// It was written by a checkout and changed since.
    Changed,
    /// No checkout wrote it, and the branch has another file of that path.
    Untracked,
    /// It was written by a checkout and changed since, and the branch has it no more.
    Removed,
    /// A folder of files that no checkout wrote stands where the branch has a file, or the other way round.
    InTheWay,
}

impl LocalChangeKind {
    fn text(self) -> &'static str {
        match self {
            Self::Changed => "was changed here",
            Self::Untracked => "was made here, and the branch has another file of that name",
            Self::Removed => "was changed here, and the branch has removed it",
            Self::InTheWay => "was made here, and is in the way of a file or folder of the branch",
        }
    }
}

fn local_text(changes: &[LocalChange], total: u64) -> String {
    let named: Vec<String> = changes
        .iter()
        .map(|change| format!("{} {}", change.path, change.kind.text()))
        .collect();
    let more = total.saturating_sub(changes.len() as u64);
    let more = if more > 0 {
        format!(" (and {more} more)")
    } else {
        String::new()
    };
    format!(
        "local changes would be lost: {}{more}; save them elsewhere, or use `--force` to overwrite them",
        named.join(", ")
    )
}
