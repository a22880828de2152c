//! What can be wrong with a ledger.

use crate::model::RelPath;
use crate::spool::SpoolError;
use crate::store::StoreError;

/// A ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file has a format that this program does not know.
    #[error("{file} was written by a newer lakesync (format {found}, this one knows {known}); update lakesync")]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        found: u32,
        /// The newest format that we know.
        known: u32,
    },
    /// A file does not hold what was written to it, or is missing although another names it.
    #[error("{file} is damaged ({why}); run `lakesync ledger rebuild` to make the ledger anew from the bucket")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The lease holds what nobody wrote. Whoever had it finds that out and stops.
    #[error("{file} is damaged ({why}); delete it when no export to this path is running")]
    DamagedLease {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A range is gone. The root that named it may have been replaced meanwhile: read the root again, once.
    #[error("{file} is gone although the root names it; run `lakesync ledger rebuild` if this happens again")]
    RangeGone {
        /// The file.
        file: String,
    },
    /// Records came in another order than that of their paths.
    #[error("{path} does not come after {previous}, and a ledger is sorted; please report this")]
    OutOfOrder {
        /// The later one.
        path: RelPath,
        /// The earlier one.
        previous: RelPath,
    },
    /// A whole range was given while records before it still waited.
    #[error("range {name} cannot follow an unfinished one; please report this")]
    NotAtCut {
        /// The range.
        name: String,
    },
    /// The store answered something that no ledger can hold.
    #[error("{path}: its {what} has {length} bytes, more than the {limit} that a ledger can hold; exclude it")]
    TooLong {
        /// The object.
        path: RelPath,
        /// What of it.
        what: &'static str,
        /// How long that is, in bytes.
        length: usize,
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// The store did not do what it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was read could not be kept.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl LedgerError {
    pub(super) fn damaged(file: &str, why: impl Into<String>) -> Self {
        Self::Damaged {
            file: file.to_owned(),
            why: why.into(),
        }
    }
}
