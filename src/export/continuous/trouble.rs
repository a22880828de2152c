//! What an error means for the loop; no `_`, so that a new error is thought about.

use crate::export::{ExportError, Refusal};
use crate::source::SourceError;

/// What an error means for the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may pass: try again.
    Other,
    /// Somebody else is at work: wait until they are done.
    Lease,
    /// There is no branch to read any more; nothing may be taken for its being empty.
    Gone,
    /// We were asked to stop.
    Interrupted,
}

pub(super) fn trouble_of(error: &ExportError) -> Trouble {
    match error {
        ExportError::Source(error) if is_gone(error) => Trouble::Gone,
        // What lay there is unmounted, or the wrong branch is named.
        ExportError::Refused(Refusal::EmptyTree { .. }) => Trouble::Gone,
        ExportError::Held { .. } | ExportError::LeaseLost { .. } => Trouble::Lease,
        ExportError::Interrupted => Trouble::Interrupted,
        ExportError::Source(_)
        | ExportError::Store(_)
        | ExportError::Ledger(_)
        | ExportError::Status(_)
        | ExportError::Refused(_)
        | ExportError::Plan(_)
        | ExportError::Spool(_)
        | ExportError::NoClock(_) => Trouble::Other,
    }
}

fn is_gone(error: &SourceError) -> bool {
    match error {
        SourceError::NoSuchPath { .. }
        | SourceError::NotADirectory { .. }
        | SourceError::Repository { .. }
        | SourceError::NoSuchRef { .. }
        | SourceError::NoSuchCommitId { .. }
        | SourceError::Unborn { .. }
        | SourceError::RootChanged { .. } => true,
        SourceError::LakeFs(error) => error.is_about_the_branch(),
        SourceError::RemoteRepository { .. }
        | SourceError::ForeignRepository { .. }
        | SourceError::RefFormat { .. }
        | SourceError::Object { .. }
        | SourceError::Damaged { .. }
        | SourceError::Changed { .. }
        | SourceError::Io { .. }
        | SourceError::Refused { .. }
        | SourceError::Link { .. }
        | SourceError::CommitGone { .. }
        | SourceError::Table(_)
        | SourceError::Interrupted
        | SourceError::Injected => false,
    }
}
