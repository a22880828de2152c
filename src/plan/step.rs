//! One thing to do for one path.

use serde::{Deserialize, Serialize};

use crate::ledger::{HeadersDigest, Record};
use crate::model::{ETag, Entry, RelPath};

use super::order::Turn;

/// What stands under a path before the run, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// An object of ours, as the ledger says or as a dead run left it.
    Ours(Record),
    /// An object of somebody else.
    Foreign {
        /// Where.
        path: RelPath,
        /// The etag it was seen with.
        etag: ETag,
        /// Whether the ledger or a dead run says that it once was ours.
        was_ours: bool,
    },
}

impl Standing {
    /// Where it stands.
    pub fn path(&self) -> &RelPath {
        match self {
            Self::Ours(record) => &record.path,
            Self::Foreign { path, .. } => path,
        }
    }
}

/// What a write replaces, and so the condition it goes out with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replaces {
    /// Nothing (`If-None-Match: *`).
    Nothing,
    /// This object (`If-Match`).
    Object(ETag),
}

/// Where the bytes of a write come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From the source.
    Stream,
    /// From the object outside the export path that the entry names.
    Outside,
    /// From an object of ours that this run does not write.
    Object {
        /// Its path.
        path: RelPath,
        /// The etag it must still have.
        etag: ETag,
    },
    /// From the object that another step of this plan writes with the same content.
    Twin {
        /// The path of that step.
        path: RelPath,
    },
}

/// One thing to do for one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, among the steps of its plan.
    pub turn: Turn,
    /// What.
    pub work: Work,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// The head wants this object, and it is not there or otherwise.
    Write {
        /// What the head wants.
        entry: Box<Entry>,
        /// The headers it gets.
        headers: HeadersDigest,
        /// What it replaces.
        replaces: Replaces,
        /// Where its bytes come from.
        origin: Origin,
    },
    /// The head does not want this object of ours.
    Delete {
        /// Where.
        path: RelPath,
        /// The etag it must still have.
        etag: ETag,
    },
    /// The head wants the path, and somebody else's object stands there: reported, not touched.
    Conflict {
        /// Where.
        path: RelPath,
    },
    /// The head does not want the path, and what was ours is somebody else's now: dropped from the ledger.
    LetGo {
        /// Where.
        path: RelPath,
    },
    /// The source could not read the file: it fails, and what stands there stays.
    Unreadable {
        /// Where.
        path: RelPath,
        /// Why.
        error: String,
    },
}

impl Step {
    /// The path it is about.
    pub fn path(&self) -> &RelPath {
        match &self.work {
            Work::Write { entry, .. } => &entry.path,
            Work::Delete { path, .. }
            | Work::Conflict { path }
            | Work::LetGo { path }
            | Work::Unreadable { path, .. } => path,
        }
    }
}
